"""A process that is made by fork, and the connections that it takes along."""

import os
import subprocess
import sys

import pytest

from featurestore.catalog.connection import Database

FORKS = """
import os, sys
from pathlib import Path
from typing import Any
from featurestore.catalog.connection import Database

def read(database):
    with database.connect(read_only=True) as connection:
        assert connection.execute("SELECT number FROM numbers").fetchall() == [(1,)]

def threads():
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 0

database, before = Database(Path(sys.argv[1])), threads()
read(database)
assert threads() == before
for deeds in [[], ["drop"], ["read"], ["reopen", "read"], ["read", "drop"]]:
    child = os.fork()
    if child == 0:
        for deed in deeds:
            if deed == "reopen":
                database = Database(database.path)
            elif deed == "drop":
                del database
            else:
                read(database)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0, deeds
    read(database)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_made_by_fork_may_use_leave_or_drop_what_it_got(database: Database) -> None:
    # numpy and pyarrow have threads of their own, which newer Pythons warn of
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", FORKS, str(database.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


FORKS_MEANWHILE = """
import os, sys, threading
from pathlib import Path
from typing import Any
from featurestore.catalog.connection import Database

database, taken, done = Database(Path(sys.argv[1])), threading.Event(), threading.Event()

def hold():
    with database.closed():
        taken.set()
        done.wait(30)

threading.Thread(target=hold).start()
taken.wait(30)
child = os.fork()
if child == 0:
    with Database(database.path).connect(read_only=True) as connection:
        assert connection.execute("SELECT number FROM numbers").fetchall() == [(1,)]
    os._exit(0)
status = os.waitpid(child, 0)[1]
done.set()
assert status == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_turn_of_another_thread_does_not_outlive_a_fork(database: Database) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKS_MEANWHILE, str(database.path)]
    subprocess.run(command, check=True, timeout=60)
