"""Columns of the progress bar that say what their numbers are. Imported with the bar alone, because rich is slow to import."""

from rich.progress import MofNCompleteColumn, Task, TimeRemainingColumn
from rich.text import Text


class Counted(MofNCompleteColumn):
    """Units done, of all where that is known: "55/120" or "55"."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text(f"{task.completed:.0f}", style="progress.download")
        return super().render(task)


class TimeLeft(TimeRemainingColumn):
    """The time that is left, in words: "0:56:38 left"; nothing while it is not known."""

    def render(self, task: Task) -> Text:
        if task.total is None or task.time_remaining is None or task.finished:
            return Text("")
        return super().render(task).append(" left")
