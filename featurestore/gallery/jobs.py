"""Jobs: long work in a thread, with progress that can be watched, and an end that can be asked for."""

import json
import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import anyio
from starlette.responses import StreamingResponse

from featurestore.errors import FeatureStoreError
from featurestore.gallery.answers import NotFound, Refused
from featurestore.gallery.endpoints import Endpoint, Parameter
from featurestore.gallery.schemas import TEXT
from featurestore.progress import Listener

if TYPE_CHECKING:
    from featurestore.gallery.gallery import Gallery

KEPT = 100  # jobs that have ended
RUNNING = 4  # at a time
LOOK_SECONDS = 0.1  # between two looks at a job that is watched
QUIET_SECONDS = 15.0  # after which a watcher gets a line, so that both sides know that the other is there


class Cancelled(BaseException):
    """Ends the work of a job from within its listener; no `except Exception` on the way takes it."""


class Job(Listener):
    """One piece of work, and how far it has come. It is also the listener of that work."""

    def __init__(self, kind: str) -> None:
        self.id, self.kind = secrets.token_hex(8), kind
        self.state, self.stage, self.done = "running", "", 0
        self.total: int | None = None
        self.result: Any = None
        self.error: dict[str, str] | None = None
        self.notes: list[str] = []
        self._stop = threading.Event()

    def start(self, what: str, total: int | None) -> None:
        self._go_on()
        self.stage, self.done, self.total = what, 0, total

    def advance(self, amount: int = 1, detail: str = "") -> None:
        self._go_on()
        self.done += amount

    def note(self, text: str) -> None:
        self.notes.append(text)

    def cancel(self) -> None:
        """Ask the work to end; it does at its next step."""
        self._stop.set()

    def _go_on(self) -> None:
        if self._stop.is_set() or not threading.main_thread().is_alive():  # the program ends, and waits for its threads
            raise Cancelled

    def run(self, work: Callable[[Listener], Any]) -> None:
        """Do the work, and remember how it ended."""
        try:
            self.result = work(self)
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except FeatureStoreError as error:
            self.error = {"type": type(error).__name__, "message": str(error)}
            self.state = "failed"
        except BaseException as error:
            self.error = {
                "type": type(error).__name__,
                "message": "a mistake of featurestore; see what the server printed",
            }
            self.state = "failed"
            raise

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id, "kind": self.kind, "state": self.state, "stage": self.stage, "done": self.done, "total": self.total,
            "notes": list(self.notes), "result": self.result, "error": self.error,
        }  # fmt: skip


class Jobs:
    """The jobs of a server: those that run, and the last that have ended."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, kind: str, work: Callable[[Listener], Any]) -> Job:
        """Start work in a thread of its own. Raises Refused when too much runs already."""
        job = Job(kind)
        with self._lock:
            running = sum(other.state == "running" for other in self._jobs.values())
            if running >= RUNNING:
                raise Refused(f"{running} jobs run already; wait for one of them, or cancel it")
            ended = [name for name, other in self._jobs.items() if other.state != "running"]
            for name in ended[: max(0, len(ended) - KEPT + 1)]:
                del self._jobs[name]
            self._jobs[job.id] = job
        threading.Thread(target=job.run, args=(work,), name=f"job {kind}").start()
        return job

    def all(self) -> list[Job]:
        """Give all jobs, the newest first."""
        with self._lock:
            return list(self._jobs.values())[::-1]

    def get(self, name: str) -> Job:
        """Give a job. Raises NotFound."""
        with self._lock:
            found = self._jobs.get(name)
        if found is None:
            raise NotFound(f"there is no job {name[:40]!r}, or it has ended long ago")
        return found


def _all(gallery: "Gallery") -> dict[str, Any]:
    return {"jobs": [job.to_json() for job in gallery.jobs.all()]}


def _one(gallery: "Gallery", id: str) -> dict[str, Any]:
    return gallery.jobs.get(id).to_json()


def _cancel(gallery: "Gallery", id: str) -> dict[str, Any]:
    job = gallery.jobs.get(id)
    job.cancel()
    return job.to_json()


def _events(gallery: "Gallery", id: str) -> StreamingResponse:
    return StreamingResponse(_watch(gallery.jobs.get(id)), 200, {"Cache-Control": "no-store"}, "text/event-stream")


async def _watch(job: Job) -> AsyncIterator[str]:
    """Give a job's state whenever it has changed, as server-sent events, until it has ended."""
    last, quiet = "", 0.0
    while True:
        state = job.state
        now = json.dumps(job.to_json(), default=str)
        if now != last:
            last, quiet = now, 0.0
            yield f"event: {state}\ndata: {now}\n\n"
        if state != "running":
            return
        await anyio.sleep(LOOK_SECONDS)
        quiet += LOOK_SECONDS
        if quiet > QUIET_SECONDS:
            quiet = 0.0
            yield ": still there\n\n"


JOB = '{"id", "kind", "state": running, done, failed or cancelled, "stage", "done", "total", "notes", "result", "error": {"type", "message"}}'
JOB_ID = Parameter("id", TEXT, "The id of a job.", required=True, place="path")
ENDPOINTS = (
    Endpoint("GET", "/jobs", "The jobs of this server, the newest first.", '{"jobs": [Job]}', _all),
    Endpoint("GET", "/jobs/{id}", "One job.", JOB, _one, (JOB_ID,)),
    Endpoint("GET", "/jobs/{id}/events", "The progress of a job while it runs.", "server-sent events, named after the job's state, each with the Job as JSON", _events, (JOB_ID,)),
    Endpoint("DELETE", "/jobs/{id}", "Ask a job to end; it does at its next step.", "Job, as it is now", _cancel, (JOB_ID,)),
)  # fmt: skip
