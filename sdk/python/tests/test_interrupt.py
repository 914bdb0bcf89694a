"""An interrupt (Ctrl-C, or "interrupt kernel" in a notebook) ends what was begun and leaves nothing behind.

Polars is imported because it installs a handler of its own, after which a signal no longer ends a system call that waits.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars  # noqa: F401
import pytest

import unskew
from unskew import _binary

FLIGHTS = Path(__file__).parents[3] / "examples" / "flights"


@pytest.fixture
def flights(tmp_path: Path) -> unskew.Project:
    """A project whose training set takes seconds."""
    copy = tmp_path / "flights"
    shutil.copytree(FLIGHTS, copy, ignore=shutil.ignore_patterns(".unskew", "*.go", "convert"))
    return unskew.Project(copy, progress=False)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of this process and of those that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen]:
    """The processes that the package starts."""
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            started.append(self)

    monkeypatch.setattr(_binary.subprocess, "Popen", Recorded)
    return started


@contextmanager
def interrupt_when(*conditions: Callable[[], object]) -> Iterator[list[KeyboardInterrupt]]:
    """Sends this process SIGINT as soon as a condition holds, for each condition in turn. The exception is kept, as a notebook does."""
    kept: list[KeyboardInterrupt] = []

    def watch() -> None:
        for holds in conditions:
            if not wait_for(holds):
                return
            os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(KeyboardInterrupt) as raised:
        yield kept
    kept.append(raised.value)
    watcher.join()


def wait_for(holds: Callable[[], object]) -> bool:
    until = time.monotonic() + 60
    while not holds():
        if time.monotonic() > until:
            return False
        threading.Event().wait(0.005)
    return True


def test_a_local_training_set(flights, temporary, processes):
    with interrupt_when(lambda: list(temporary.glob("unskew-training-*/.*.partial"))) as kept:
        flights.training_set("delays_2013")
    (engine,) = processes
    assert engine.returncode == 2, "it is to end by itself"
    assert kept and os.listdir(temporary) == []


def test_a_local_training_set_that_has_just_begun(flights, temporary, processes):
    with interrupt_when(lambda: processes):
        flights.training_set("delays_2013")
    assert processes[0].returncode in (2, -signal.SIGINT) and os.listdir(temporary) == []


def test_an_earlier_training_set_stays(flights, temporary, tmp_path):
    out = tmp_path / "out"
    made = flights.training_set("delays_2013", out=out)
    files = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    with interrupt_when(lambda: list(out.glob(".*.partial"))):
        flights.training_set("delays_2013", out=out)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == files
    assert made.to_arrow("train").num_rows > 0 and os.listdir(temporary) == []


def test_a_spine_of_a_frame(flights, temporary, processes):
    spine = unskew.TrainingSet(flights.training_set("delays_2013", out=flights.path / "made").path).to_arrow("train")
    spine = spine.select(["origin", "dest", "carrier", "tailnum", "sched_dep", "sched_dep_hour", "distance"])
    with interrupt_when(lambda: list(temporary.glob("unskew-training-*/.*.partial"))):
        flights.training_set(service="delay_v1", spine=spine, time="sched_dep")
    assert processes[-1].returncode == 2 and os.listdir(temporary) == []


STUBBORN = """#!{python}
import signal, sys
signal.signal(signal.SIGINT, lambda *_: print("again", file=sys.stderr, flush=True))
print("ready", file=sys.stderr, flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does not end when it is interrupted."""
    program = tmp_path / "stubborn"
    program.write_text(STUBBORN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("UNSKEW_BINARY", str(program))


def test_a_process_that_does_not_end_is_killed(stubborn, processes, monkeypatch):
    monkeypatch.setattr(_binary, "_GRACE", 0.2)
    said = heard(monkeypatch)
    with interrupt_when(lambda: "ready" in said):
        _binary.run([], progress=True)
    assert processes[0].returncode == -signal.SIGKILL and "again" in said


def test_a_second_interrupt_kills_at_once(stubborn, processes, monkeypatch):
    said = heard(monkeypatch)
    with interrupt_when(lambda: "ready" in said, lambda: "again" in said):
        _binary.run([], progress=True)
    assert processes[0].returncode == -signal.SIGKILL


def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that processes print to standard error."""
    lines: list[str] = []

    def listen(stream, said, progress):
        for line in stream:
            lines.append(line.strip())

    monkeypatch.setattr(_binary, "_listen", listen)
    return lines


def test_a_training_set_of_a_server(flights):
    with flights.serve() as client:
        with interrupt_when(lambda: [s for s in client.list_training_sets() if s["state"] == "RUNNING"]):
            client.get_training_set("delays_2013", progress=False)
        assert wait_for(lambda: [s["state"] for s in client.list_training_sets()] == ["CANCELED"])
        assert wait_for(lambda: not list(flights.path.rglob("*.partial")))


def test_a_named_training_set_of_a_server_goes_on(flights):
    with flights.serve() as client:
        with interrupt_when(lambda: [s for s in client.list_training_sets() if s["state"] == "RUNNING"]):
            client.get_training_set("delays_2013", id="mine", progress=False)
        assert client.get_training_set("delays_2013", id="mine", progress=False).to_arrow("test").num_rows > 0
