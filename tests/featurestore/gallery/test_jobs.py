"""Jobs: progress, results, errors and cancelling, asked for or watched."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from featurestore.errors import QueryError
from featurestore.gallery import jobs
from featurestore.gallery.answers import NotFound, Refused
from featurestore.gallery.jobs import Job, Jobs
from featurestore.progress import Listener
from tests.featurestore.gallery.client import Client


def ended(job: Job) -> Job:
    deadline = time.monotonic() + 10
    while job.state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return job


class Steps:
    """Work that goes on when it is told to."""

    def __init__(self) -> None:
        self.go_on, self.began = threading.Event(), threading.Event()

    def __call__(self, listener: Listener) -> dict[str, int]:
        listener.start("counting", 3)
        listener.advance(2)
        listener.note("two of three")
        self.began.set()
        assert self.go_on.wait(10)
        listener.advance()
        return {"counted": 3}


@pytest.fixture
def steps() -> Steps:
    return Steps()


def test_a_job_says_how_far_it_is_and_what_came_of_it(client: Client, steps: Steps) -> None:
    job = client.gallery.jobs.begin("count", steps)
    assert steps.began.wait(10)
    now = client.get(f"/api/v1/jobs/{job.id}")
    assert {k: now[k] for k in ("kind", "state", "stage", "done", "total", "notes")} == {
        "kind": "count", "state": "running", "stage": "counting", "done": 2, "total": 3, "notes": ["two of three"],
    }  # fmt: skip
    steps.go_on.set()
    ended(job)
    [last] = client.get("/api/v1/jobs")["jobs"]
    assert (last["state"], last["result"], last["done"]) == ("done", {"counted": 3}, 3)


def test_a_job_ends_at_its_next_step_when_it_is_cancelled(client: Client, steps: Steps) -> None:
    job = client.gallery.jobs.begin("count", steps)
    assert steps.began.wait(10)
    assert client.send("DELETE", f"/api/v1/jobs/{job.id}", client.bearer).status_code == 200
    steps.go_on.set()
    assert (ended(job).state, job.result) == ("cancelled", None)


def test_an_error_is_that_of_the_command_line(client: Client) -> None:
    def fail(listener: Listener) -> None:
        raise QueryError("expected something else")

    job = ended(client.gallery.jobs.begin("fail", fail))
    assert client.get(f"/api/v1/jobs/{job.id}")["error"] == {"type": "QueryError", "message": "expected something else"}


def test_a_job_can_be_watched(client: Client, steps: Steps) -> None:
    job = client.gallery.jobs.begin("count", steps)
    threading.Timer(0.05, steps.go_on.set).start()
    answer = client.send("GET", f"/api/v1/jobs/{job.id}/events", client.bearer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [event.split("\n") for event in answer.text.strip().split("\n\n")]
    assert events[-1][0] == "event: done"
    states = [json.loads(line.removeprefix("data: ")) for _, line in events]
    assert states[-1]["result"] == {"counted": 3}
    assert len(states) > 1


def test_no_more_jobs_run_than_may(steps: Steps) -> None:
    many = Jobs()
    running = [many.begin("count", steps) for _ in range(jobs.RUNNING)]
    with pytest.raises(Refused, match="4 jobs run already"):
        many.begin("count", steps)
    steps.go_on.set()
    for job in running:
        ended(job)
    assert ended(many.begin("count", steps)).state == "done"


def test_jobs_that_ended_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KEPT", 2)
    many = Jobs()
    work: Callable[[Listener], Any] = lambda listener: 1  # noqa: E731
    names = [ended(many.begin("quick", work)).id for _ in range(4)]
    assert [job.id for job in many.all()] == names[:1:-1]
    with pytest.raises(NotFound, match="ended long ago"):
        many.get(names[0])
