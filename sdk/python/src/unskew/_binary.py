"""Finds the ``unskew`` binary and runs it."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import IO

from .errors import CommandFailed, UnskewError

_VARIABLE = "UNSKEW_BINARY"
_KEPT_LINES = 400
_GRACE = 30.0  # seconds that an interrupted process has to clean up


def find() -> str:
    """Path of the binary: ``$UNSKEW_BINARY``, the one in this package, or the one on ``$PATH``."""
    named = os.environ.get(_VARIABLE)
    if named:
        if not os.access(named, os.X_OK):
            raise UnskewError(f"${_VARIABLE} is {named}, which is not executable")
        return named
    bundled = Path(__file__).with_name("bin") / "unskew"
    if bundled.exists():
        return str(bundled)
    on_path = shutil.which("unskew")
    if on_path and not _is_this_script(on_path):
        return on_path
    raise UnskewError(
        "this installation of the Python package does not include the unskew binary: install the wheel that `make wheel` "
        f"builds, put `unskew` on the PATH, or set ${_VARIABLE}"
    )


def _is_this_script(path: str) -> bool:
    """Whether path is this package's own console script, which would call itself."""
    return Path(path).resolve().parent == Path(sys.executable).resolve().parent or Path(path).parent == Path(sys.executable).parent


def main() -> None:
    """The ``unskew`` command of the wheel: the binary, with this process's arguments."""
    try:
        binary = find()
    except UnskewError as error:
        sys.exit(f"unskew: {error}")
    os.execv(binary, ["unskew", *sys.argv[1:]])


def run(arguments: list[str], *, progress: bool, accept: tuple[int, ...] = (0,)) -> tuple[str, int]:
    """Runs the binary and returns its standard output and exit code.

    Its standard error, with progress and errors, is forwarded line by line if
    ``progress`` is set. An exit code that is not in ``accept`` raises CommandFailed. An
    interrupt is forwarded, and the call waits for the binary to clean up; a second one kills it.
    """
    command = [find(), *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None and process.stderr is not None
    printed = process.stdout.fileno()
    said: list[str] = []
    listener = threading.Thread(target=_listen, args=(process.stderr, said, progress), daemon=True)
    try:
        listener.start()
        out = b"".join(_pieces(printed)).decode("utf-8", "replace")
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        if listener.ident is not None:
            listener.join()
        process.stdout.close()
        process.stderr.close()
    if code not in accept:
        raise CommandFailed(_error_text(said) or f"unskew ended with exit code {code}", code, command)
    return out, code


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupts a process, so that it can clean up, and waits for it; kills it after a while, or when this is interrupted too."""
    reader = None
    try:
        process.send_signal(signal.SIGINT)
        if process.stdout is not None:  # or it would wait for somebody to read what it prints
            reader = threading.Thread(target=_discard, args=(process.stdout.fileno(),), daemon=True)
            reader.start()
        process.wait(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if reader is not None and reader.ident is not None:
            reader.join()


def _discard(descriptor: int) -> None:
    for _ in _pieces(descriptor):
        pass


def _pieces(descriptor: int) -> Iterator[bytes]:
    """What comes out of a pipe, to its end.

    A signal ends the wait of poll at once. It would not end one in read where another library has replaced
    Python's handler by one that lets system calls go on, as polars does.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        poll.poll()
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            return
        yield piece


@contextlib.contextmanager
def serving(arguments: list[str]) -> Iterator[str]:
    """Runs ``unskew serve`` for as long as the context lasts; yields the URL it listens on."""
    command = [find(), *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
        start_new_session=True,
    )
    assert process.stderr is not None
    said: list[str] = []
    found: Queue[str | None] = Queue()
    listener = threading.Thread(target=_find_url, args=(process.stderr, said, found), daemon=True)
    listener.start()
    try:
        url = _next(found)
        if url is None:
            raise CommandFailed(_error_text(said) or "the server exited immediately", process.wait(), command)
        yield url
    finally:
        _end(process)
        listener.join()
        process.stderr.close()


def _next(found: Queue[str | None]) -> str | None:
    """Waits for the next item, a second at a time for the reason that _pieces has."""
    while True:
        with contextlib.suppress(Empty):
            return found.get(timeout=1)


def _find_url(stream: IO[str], said: list[str], found: Queue[str | None]) -> None:
    """Reads a server's output to the end, so that it never blocks, and passes on the URL it prints."""
    for line in stream:
        said.append(line.rstrip("\n"))
        del said[:-_KEPT_LINES]
        if line.startswith("serving "):
            found.put(next((word for word in line.split() if word.startswith("http")), None))
    found.put(None)


def _listen(stream: IO[str], said: list[str], progress: bool) -> None:
    for line in stream:
        said.append(line.rstrip("\n"))
        del said[:-_KEPT_LINES]
        if progress and not line.startswith("unskew: "):
            print(line, end="", file=sys.stderr, flush=True)


def _error_text(said: list[str]) -> str:
    """The error message on standard error: from the last ``unskew: `` on."""
    for i in range(len(said) - 1, -1, -1):
        if said[i].startswith("unskew: "):
            return "\n".join([said[i].removeprefix("unskew: "), *said[i + 1 :]])
    return "\n".join(said[-20:])
