"""Progress of long work: the listener that the library reports to, and the bar that shows it."""

import inspect
import sys
import time
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from featurestore.system.text import printable

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

QUIET_INTERVAL = 30.0  # seconds between lines where there is no terminal to draw a bar on

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Listener:
    """Receives the progress of long work. This one ignores it; `ProgressBar` draws it."""

    def start(self, what: str, total: int | None) -> None:
        """Begin a phase of `total` units (None: unknown)."""

    def advance(self, amount: int = 1, detail: str = "") -> None:
        """Count `amount` units as done; `detail` holds the latest figures as text."""

    def note(self, text: str) -> None:
        """Print a line of its own."""


class ProgressBar(Listener):
    """A progress bar on stderr: drawn by rich on a terminal and in a notebook, a line every half minute elsewhere. Use it as a context manager."""

    def __init__(self) -> None:
        from rich.console import Console  # slow to import, and most commands need no bar
        from rich.progress import Progress

        self._console = Console(file=sys.stderr, soft_wrap=True, highlight=False, emoji=False)
        # In a notebook rich draws by ipywidgets.
        self._draws = self._console.is_terminal or (self._console.is_jupyter and find_spec("ipywidgets") is not None)
        self._bar = Progress(*columns(), console=self._console, disable=not self._draws, transient=True)
        self._phase, self._done, self._last = "", 0, time.monotonic()
        self._total: int | None = None
        self._task = self._bar.add_task("", visible=False, detail="")

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, what: str, total: int | None) -> None:
        what = printable(what)
        self._phase, self._done, self._total = what, 0, total
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total, detail="")

    def advance(self, amount: int = 1, detail: str = "") -> None:
        self._done += amount
        detail = printable(detail)
        self._bar.update(self._task, advance=amount, detail=detail)
        if not self._draws and time.monotonic() - self._last > QUIET_INTERVAL:
            self._last = time.monotonic()
            self.note(f"{self._phase}: {self._done}{f'/{self._total}' if self._total else ''} {detail}".rstrip())

    def note(self, text: str) -> None:
        self._console.print(printable(text), markup=False)


def columns() -> list["ProgressColumn"]:
    """Make the columns of the bar: what is done, how much of how much, how long it will take, and the latest figures."""
    from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Counted(MofNCompleteColumn):
        def render(self, task: Task) -> Text:
            """Show "55/120", and "55" where the total is not known."""
            return super().render(task) if task.total is not None else Text(f"{task.completed:.0f}")

    class TimeLeft(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            """Show "0:56:38 left", and nothing where it is not known."""
            unknown = task.total is None or task.time_remaining is None or task.finished
            return Text("") if unknown else super().render(task).append(" left")

    return [
        TextColumn("{task.description}", markup=False), BarColumn(), Counted(), TimeLeft(), TextColumn("{task.fields[detail]}", markup=False)
    ]  # fmt: skip


def shows_progress(work: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a function that takes a `listener` draw a ProgressBar when it is called without one and somebody watches."""
    signature = inspect.signature(work)

    @wraps(work)
    def watched(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        call = signature.bind(*arguments, **named)
        if call.arguments.get("listener") is not None or not is_watched():
            return work(*arguments, **named)
        with ProgressBar() as bar:
            call.arguments["listener"] = bar
            return work(*call.args, **call.kwargs)

    return watched


def is_watched() -> bool:
    """Whether somebody sees what is written to stderr: on a terminal, or in a notebook."""
    if sys.stderr.isatty():
        return True
    if "IPython" not in sys.modules:
        return False
    from rich.console import Console

    return Console().is_jupyter
