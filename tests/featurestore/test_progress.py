"""Who sees progress: callers from Python on a terminal or in a notebook, unless they listen themselves."""

import sys

import pytest

from featurestore import progress
from featurestore.progress import Listener, ProgressBar, shows_progress


@shows_progress
def work(first: int, listener: Listener | None = None, *, last: int = 0) -> Listener | None:
    return listener


def test_a_bar_is_drawn_only_where_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Listener()
    assert work(1) is None  # pytest takes stderr
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(work(1), ProgressBar)
    assert isinstance(work(1, None, last=3), ProgressBar)
    assert work(1, own) is work(1, listener=own) is own
    with pytest.raises(TypeError, match="missing a required argument: 'first'"):
        work()  # type: ignore[call-arg]


def test_a_notebook_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not progress.is_watched()
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert progress.is_watched()


@pytest.mark.parametrize("drawn", [False, True])
def test_names_in_progress_are_spelled_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], drawn: bool
) -> None:
    monkeypatch.setattr(progress, "QUIET_INTERVAL", 0.0)
    monkeypatch.setenv("FORCE_COLOR" if drawn else "NO_COLOR", "1")
    evil = "\x1b]0;title\x07\u202e\x9b[/x]:smile:"
    with ProgressBar() as bar:
        bar.start(evil, 2)
        bar.advance(1, evil)
        bar.note(evil)
    said = capsys.readouterr().err
    assert "\\x1b]0;title\\x07\\u202e\\x9b[/x]:smile:" in said
    assert not {"\x1b]", "\x07", "\u202e", "\x9b"} & {said[at : at + n] for at in range(len(said)) for n in (1, 2)}
