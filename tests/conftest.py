"""What holds for every test: it runs offline, and gets the signals that a terminal sends. Collecting them is made quick."""

import gc
import signal
import socket
from typing import Any

import pytest

gc.disable()  # until all tests are collected: what is loaded until then stays, and looking through it takes half of the time

# Ignored where the tests were started by nohup or in the background, and then by each of their processes, too.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


def pytest_collection_finish() -> None:
    """Collect garbage again, but never look through what was loaded until now."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """Give the collector everything back, for what is loaded now and asks it."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections that leave this machine."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)
