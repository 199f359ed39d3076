"""A server of a store in a process of its own, and what it is asked."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np


class Served:
    """A server, and a client that has its token."""

    def __init__(self, process: "subprocess.Popen[str]", line: str) -> None:
        self.process = process
        self.address, _, self.token = line.partition("/?token=")
        self.client = self.another_client()

    def another_client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self.address}/api/v1/",
            headers={"authorization": f"Bearer {self.token}"},
            timeout=120,
            event_hooks={"response": [httpx.Response.raise_for_status]},
        )

    def get(self, path: str, **params: Any) -> Any:
        """Get JSON."""
        return self.client.get(path, params=params).json()

    def send(self, path: str, body: Any) -> Any:
        """Post JSON."""
        return self.client.post(path, json=body).json()

    def memory(self) -> float:
        """The memory that the server holds, without pages of mapped files, in GB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("RssAnon:")[1].split()[0]) / 1e6


@contextmanager
def serving(store: Path) -> Iterator[Served]:
    """Serve a store with an empty cache of thumbnails until the end of the block."""
    with tempfile.TemporaryDirectory() as cache:
        words = [sys.executable, "-c", "from featurestore.cli import main; main()", "serve", str(store), "--port", "0", "--no-browser"]  # fmt: skip
        environment = {**os.environ, "XDG_CACHE_HOME": cache}
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
            try:
                assert process.stdout is not None
                yield Served(process, process.stdout.readline().strip())
            finally:
                process.terminate()


def timed(asks: Callable[..., object], *arguments: Any, **options: Any) -> float:
    """Seconds that one question takes."""
    began = time.perf_counter()
    asks(*arguments, **options)
    return time.perf_counter() - began


def in_ms(seconds: list[float]) -> str:
    """Format the median and the 95th percentile in milliseconds."""
    middle, high = np.percentile(seconds, [50, 95]) * 1000
    return f"{middle:,.1f}, {high:,.1f}"
