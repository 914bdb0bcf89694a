"""A project on disk, processed by the binary in this package."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from . import _binary
from .client import Client
from .errors import CommandFailed, UnskewError
from .explanation import Explanation, explanation, key_texts, rfc3339
from .frames import Frame, times_in_utc, to_arrow
from .training import TrainingSet


@dataclass(frozen=True)
class Finding:
    """An error or warning about the definitions, with its position."""

    file: str
    line: int
    column: int
    severity: str  #: "error" or "warning"
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message} [{self.rule}]"


@dataclass(frozen=True)
class ValidationReport:
    """The result of ``unskew validate``."""

    project: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return not self.errors

    @property
    def errors(self) -> list[Finding]:
        return [f for f in self.findings if f.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        return [f for f in self.findings if f.severity != "error"]

    def raise_for_errors(self) -> None:
        """Raises an UnskewError that lists the errors, if there are any."""
        if self.errors:
            raise UnskewError("\n".join(map(str, self.errors)))


@dataclass(frozen=True)
class ParityReport:
    """The result of ``unskew parity --replay``: served values compared with a training set, bit by bit."""

    rows: int
    compared: int  #: values
    different: int
    differences: tuple[dict[str, Any], ...]  #: the first of them
    statuses: dict[str, int]  #: values by status

    @property
    def ok(self) -> bool:
        return self.different == 0


@dataclass(frozen=True)
class Materialized:
    """The result of ``unskew materialize`` for one view."""

    view: str
    up_to_date: bool  #: nothing had changed, so nothing was built
    generation: int
    events: int
    entities: int
    bytes: int


class Project:
    """A folder with ``unskew.yaml`` and definitions.

    Args:
        path: the folder.
        progress: forward the progress of commands to standard error.
    """

    def __init__(self, path: str | os.PathLike[str] = ".", *, progress: bool = True) -> None:
        self.path = Path(path)
        self._progress = progress
        if not (self.path / "unskew.yaml").exists():
            raise UnskewError(f"{self.path} is not a project: it has no unskew.yaml; `unskew init` creates one")

    def __repr__(self) -> str:
        return f"Project({str(self.path)!r})"

    def _run(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> Any:
        out, _ = _binary.run(["-C", str(self.path), "--json", *arguments], progress=self._progress, accept=accept)
        try:
            return json.loads(out)
        except json.JSONDecodeError:
            raise UnskewError(f"`unskew {' '.join(arguments)}` printed no JSON: {out[:200]!r}") from None

    def validate(self, *, against: str | None = None) -> ValidationReport:
        """Checks the definitions; with ``against`` (a git revision) also for changes that break models."""
        r = self._run("validate", *(["--against", against] if against else []), accept=(0, 1))
        return ValidationReport(
            r["project"],
            tuple(
                Finding(f["file"], f.get("line", 0), f.get("column", 0), f["severity"], f["rule"], f["message"])
                for f in r["findings"]
            ),
        )

    def test(self) -> None:
        """Runs the authors' tests along every path; raises a CommandFailed that lists what failed."""
        out, code = _binary.run(["-C", str(self.path), "test"], progress=self._progress, accept=(0, 1))
        if code:
            raise CommandFailed(out.strip(), code, ["unskew", "test"])

    def training_set(
        self,
        name: str | None = None,
        spine: Frame | str | os.PathLike[str] | None = None,
        *,
        service: str | None = None,
        time: str | None = None,
        label: str | None = None,
        label_known_at: str | None = None,
        out: str | os.PathLike[str] | None = None,
        with_status: bool = False,
        as_of: Literal["known", "ledger", "final"] | None = None,
        memory: str | None = None,
        threads: int | None = None,
        from_served: str | None = None,
        served_from: datetime | None = None,
        served_to: datetime | None = None,
        outcomes: str | os.PathLike[str] | None = None,
        unlabelled: bool = False,
    ) -> TrainingSet:
        """Builds a training set, each row as of its own time.

        Either ``name`` is a TrainingSet of the project, or ``service`` is a feature service and
        ``spine`` the rows to predict, with the keys, the request fields and ``time``, or ``from_served`` is a
        feature service and the rows are those that servers have recorded, with the values that were answered.
        An interrupt ends the engine, which leaves nothing half written.

        Args:
            name: a TrainingSet of the project; it may be left out where there is only one.
            spine: a frame, an Arrow table, or the path of a file. Times with a zone keep their instant,
                those without are taken as UTC, which a NaiveTimeWarning says.
            service: the feature service, with ``spine``.
            time: the spine's column with the time to compute features as of.
            label: the spine's column with the label.
            label_known_at: the spine's column with the time the label was known.
            out: directory to write to; by default one that goes with the result.
            with_status: also write the status of every value.
            as_of: ``"known"``, as the definitions say that serving knows events; ``"ledger"``, as servers recorded that it did; or ``"final"``, as they turned out, to measure the difference. By default as the training set says, or known.
            memory: bytes that the engine may take, like ``"4GB"``.
            threads: threads of the engine; one for each core by default.
            from_served: the feature service whose answers are in the served log. ``label`` is an outcome that was logged.
            served_from: only rows that were served at or after it; a time without a zone is UTC.
            served_to: only rows that were served before it.
            outcomes: path of a file with the labels of served rows: ``request_id``, ``request_row`` unless it is 0, and ``label``.
            unlabelled: keep served rows without an outcome, with a null label.
        """
        if from_served is not None and (name is not None or spine is not None or service is not None or time is not None):
            raise UnskewError("from_served has rows and times of its own; leave out name, spine, service and time")
        if name is not None and (spine is not None or service is not None):
            raise UnskewError("name a training set of the project, or give a spine and its service, not both")
        if name is None and (spine is None) != (time is None):
            raise UnskewError("a training set of a service needs spine, the rows to predict, and time, the name of the column with the time of each")
        arguments = ["train"]
        if name is not None:
            arguments.append(name)
        with contextlib.ExitStack() as stack:
            path = None
            if spine is not None:
                path = self._spine(spine, stack)
                arguments += ["--spine", path]
            for flag, value in (
                ("service", service),
                ("time", time),
                ("label", label),
                ("label-known-at", label_known_at),
                ("memory", memory),
                ("threads", threads),
                ("from-served", from_served),
                ("from", served_from and rfc3339(served_from)),
                ("to", served_to and rfc3339(served_to)),
                ("outcomes", outcomes and os.path.abspath(outcomes)),
            ):
                if value is not None:
                    arguments += [f"--{flag}", str(value)]
            if as_of is not None:
                arguments += ["--as-of", as_of]
            if with_status:
                arguments.append("--with-status")
            if unlabelled:
                arguments.append("--unlabelled")
            keep = None
            if out is None:
                keep = tempfile.TemporaryDirectory(prefix="unskew-training-")
                out = keep.name
            try:
                self._run(*arguments, "--out", os.path.abspath(out))
                return TrainingSet(out, keep)
            except BaseException as error:
                if keep is not None:
                    keep.cleanup()  # the traceback, which a notebook keeps, would keep it too
                if not isinstance(error, CommandFailed) or path is None or isinstance(spine, (str, os.PathLike)):
                    raise
                said = str(error).replace(path, "the frame").replace(os.path.basename(path), "the frame")
                raise CommandFailed(said, error.exit_code, error.command) from None

    def _spine(self, spine: Frame | str | os.PathLike[str], stack: contextlib.ExitStack) -> str:
        """Path of a file with the spine."""
        if isinstance(spine, (str, os.PathLike)):
            return os.path.abspath(spine)
        table = times_in_utc(to_arrow(spine, "spine"), "spine")
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="unskew-spine-"))
        path = os.path.join(folder, "spine.parquet")
        pq.write_table(table, path)
        return path

    def parity(
        self, training_set: str | None = None, *, rows: int | None = None, start: str | None = None
    ) -> ParityReport:
        """Replays history through the online path and compares what it serves with the training set, as bits.

        Args:
            training_set: its name; it may be left out where there is only one.
            rows: how many rows to ask for, spread evenly; 0 for all.
            start: push what became known from this time on, like ``"2013-12-01T00:00:00Z"``, and materialize what was before.
        """
        arguments = ["parity", "--replay"]
        for flag, value in (("training-set", training_set), ("rows", rows), ("from", start)):
            if value is not None:
                arguments += [f"--{flag}", str(value)]
        r = self._run(*arguments, accept=(0, 1))
        return ParityReport(r["rows"], r["compared"], r["different"], tuple(r["differences"]), r["statuses"])

    def explain(
        self,
        feature: str,
        key: Mapping[str, object] | None = None,
        *,
        at: str | datetime | None = None,
        request: str | None = None,
        row: int = 0,
        events: int = 20,
    ) -> Explanation:
        """Shows how a value came about: the events that are in it, those that are left out and why, in training and in serving.

        Args:
            feature: ``"VIEW.FEATURE"``.
            key: of the entity, like ``{"customer_id": 3}``.
            at: as of this time instead of now; there is nothing to compare with then.
            request: instead of a key, the id of a request whose answer is in the served log.
            row: of that request.
            events: how many events to list; all are counted.
        """
        arguments = ["explain", feature, "--events", str(events)]
        for name, value in key_texts(key).items():
            arguments += ["--key", f"{name}={value}"]
        if isinstance(at, datetime):
            at = rfc3339(at)
        for flag, text in (("at", at), ("request", request)):
            if text is not None:
                arguments += [f"--{flag}", text]
        if request is not None:
            arguments += ["--row", str(row)]
        return explanation(self._run(*arguments))

    def materialize(self, view: str | None = None, *, full: bool = False) -> list[Materialized]:
        """Builds the live state of all views, or of one, and makes it live."""
        arguments = ["materialize", *(["--view", view] if view else []), *(["--full"] if full else [])]
        return [
            Materialized(v["view"], v["up_to_date"], v["generation"], v["events"], v["entities"], v["bytes"])
            for v in self._run(*arguments)
        ]

    @contextlib.contextmanager
    def serve(self, *, served_log: str | None = None) -> Iterator[Client]:
        """A server of this project on a free port of this machine, for as long as the context lasts.

        Args:
            served_log: the part of the entities whose answers are recorded, like ``"5%"``; by default what ``unskew.yaml`` says.

        ::

            with project.serve() as client:
                client.get_online_features("return_risk", [{"customer_id": 3, "amount": 20.0}])
        """
        arguments = ["-C", str(self.path), "serve", "--listen", "127.0.0.1:0"]
        if served_log is not None:
            arguments += ["--served-log", served_log]
        with _binary.serving(arguments) as url, Client(url) as client:
            yield client
