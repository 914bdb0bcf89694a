"""Training sets: rows of a spine with their features, and the manifest that says what they were made from."""

from __future__ import annotations

import html
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import UnskewError

if TYPE_CHECKING:
    import pandas
    import polars


class AnyTrainingSet(ABC):
    """What local and remote training sets have in common."""

    #: The content of ``manifest.json``.
    manifest: dict[str, Any]

    @property
    @abstractmethod
    def report(self) -> dict[str, Any]:
        """The content of ``report.json``: what rows, labels and features look like.

        ``report["alarms"]`` are the features that are too good to be true.
        """

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the service; give it to ``get_online_features`` when the model predicts."""
        return str(self.manifest["service_fingerprint"])

    @property
    def service(self) -> str:
        return str(self.manifest["service"])

    @property
    def label(self) -> str | None:
        """The spine's column with the label, if one is declared."""
        label: str | None = self.manifest["spine"].get("label")
        return label

    @property
    def features(self) -> list[str]:
        """The columns that are features, in the order of the service."""
        return [str(o["name"]) for o in self.manifest["outputs"]]

    @cached_property
    def parts(self) -> list[str]:
        """The parts: ``train``, ``validation``, ``test`` and ``holdout``, or ``data`` if the set is not split; with ``folds:``, also the segments that folds consist of."""
        return [Path(f["name"]).stem for f in self.manifest["files"]]

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds of a split with ``folds:``, in order of time; empty for other splits."""
        split = self.manifest.get("split") or {}
        return [Fold(self, fold) for fold in split.get("folds", [])]

    def to_arrow(self, part: str | None = None) -> pa.Table:
        """The rows of a part, in the order of the spine: its columns, then the features. ``part`` may be left out where there is one.

        The metadata of the schema has the service and its fingerprint.
        """
        if part is None:
            if len(self.parts) != 1:
                raise UnskewError(f"this training set is split; say which part: {', '.join(self.parts)}")
            part = self.parts[0]
        if part not in self.parts:
            raise UnskewError(f"this training set has no part {part!r}; it has {', '.join(self.parts)}")
        return self._read(part)

    @abstractmethod
    def _read(self, part: str) -> pa.Table:
        """The rows of a part that exists."""

    def _named(self, table: pa.Table) -> pa.Table:
        """The table with the service and its fingerprint in the metadata of its schema."""
        names = {"unskew.service": self.service, "unskew.service_fingerprint": self.fingerprint}
        return table.replace_schema_metadata({**(table.schema.metadata or {}), **names})

    def to_pandas(self, part: str | None = None) -> pandas.DataFrame:
        """A part as a pandas frame."""
        frame: pandas.DataFrame = self.to_arrow(part).to_pandas()
        return frame

    def to_polars(self, part: str | None = None) -> polars.DataFrame:
        """A part as a polars frame."""
        import polars

        frame = polars.from_arrow(self.to_arrow(part))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def __repr__(self) -> str:
        rows = ", ".join(f"{Path(f['name']).stem}: {f['rows']:,}" for f in self.manifest["files"])
        return f"{type(self).__name__}({self.service}, {len(self.features)} features, rows {rows}, version {self.fingerprint[:12]})"


class Fold:
    """The rows that a model is trained and validated on which is put into use at a given moment.

    ::

        for fold in ts.folds:
            train, validation = fold.to_pandas()
    """

    #: Counted from 1.
    number: int
    #: The boundary: labels of rows to train on are known before it.
    start: str

    def __init__(self, of: AnyTrainingSet, manifest: dict[str, Any]) -> None:
        self._of = of
        self._files: tuple[list[str], list[str]] = (manifest["train"]["files"], manifest["validation"]["files"])
        self.number = manifest["fold"]
        self.start = manifest["from"]
        self._rows: tuple[int, int] = (manifest["train"]["rows"], manifest["validation"]["rows"])

    def to_arrow(self) -> tuple[pa.Table, pa.Table]:
        """The rows to train on and those to validate on, each interval of time after interval."""
        train, validation = (pa.concat_tables([self._of.to_arrow(Path(f).stem) for f in files]) if files else self._none() for files in self._files)
        return train, validation

    def _none(self) -> pa.Table:
        return self._of.to_arrow(self._of.parts[0]).slice(0, 0)

    def to_pandas(self) -> tuple[pandas.DataFrame, pandas.DataFrame]:
        """The same as pandas frames."""
        train, validation = self.to_arrow()
        return train.to_pandas(), validation.to_pandas()

    def to_polars(self) -> tuple[polars.DataFrame, polars.DataFrame]:
        """The same as polars frames."""
        import polars

        train, validation = (polars.from_arrow(table) for table in self.to_arrow())
        assert isinstance(train, polars.DataFrame) and isinstance(validation, polars.DataFrame)
        return train, validation

    def __repr__(self) -> str:
        return f"Fold({self.number} from {self.start}, rows train: {self._rows[0]:,}, validation: {self._rows[1]:,})"


class TrainingSet(AnyTrainingSet):
    """A training set on this machine: Parquet files in a directory.

    Without ``out`` the directory lives as long as this object.
    """

    #: The directory with the Parquet files and ``manifest.json``.
    path: Path

    def __init__(self, path: str | os.PathLike[str], _keep: tempfile.TemporaryDirectory[str] | None = None) -> None:
        self.path = Path(path)
        try:
            self.manifest = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise UnskewError(f"{self.path} has no training set: {error}") from None
        self._keep = _keep

    @cached_property
    def report(self) -> dict[str, Any]:
        try:
            report: dict[str, Any] = json.loads((self.path / "report.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise UnskewError(f"{self.path} has no report: {error}") from None
        return report

    @property
    def report_html(self) -> Path:
        """The page with the report, for a browser."""
        return self.path / "report.html"

    def _repr_html_(self) -> str:
        """What a notebook shows: the report, in a frame of its own."""
        try:
            page = self.report_html.read_text(encoding="utf-8")
        except OSError:
            return f"<pre>{html.escape(repr(self))}</pre>"
        return f'<iframe title="training set" srcdoc="{html.escape(page)}" width="100%" height="600" sandbox="allow-scripts" style="border:0"></iframe>'

    def _read(self, part: str) -> pa.Table:
        return self._named(pq.read_table(self.path / f"{part}.parquet", memory_map=True))


class RemoteTrainingSet(AnyTrainingSet):
    """A training set on a server, for as long as the server keeps it. A part is streamed once, when it is first read."""

    #: Its id on the server.
    id: str

    def __init__(
        self, id: str, manifest: dict[str, Any], stream: Callable[[str, str], pa.Table], report: dict[str, Any]
    ) -> None:
        self.id = id
        self.manifest = manifest
        self._report = report
        self._stream = stream
        self._tables: dict[str, pa.Table] = {}

    @property
    def report(self) -> dict[str, Any]:
        return self._report

    def _read(self, part: str) -> pa.Table:
        if part not in self._tables:
            self._tables[part] = self._named(self._stream(self.id, part))
        return self._tables[part]
