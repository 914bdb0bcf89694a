"""Writes the definitions of a Feast repository as those of an Unskew project.

It works on the objects that Feast has in its registry and does not import Feast itself. What has no equivalent becomes a
:class:`Note`, which is also a comment in the files: nothing is left out silently.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.parquet as pq

# Names that have a meaning in every expression, from featuredefs/yamldoc; a test compares them.
RESERVED = frozenset(
    "now request true false null in as break const continue else for function if import let loop package namespace return var void while "
    "math sets strings regex lists optional cel google".split()
)

#: The type of a column for each of Feast's value types. Those that are missing are not scalars.
TYPES = {
    "BYTES": "bytes",
    "PDF_BYTES": "bytes",
    "IMAGE_BYTES": "bytes",
    "STRING": "string",
    "JSON": "string",
    "UUID": "string",
    "TIME_UUID": "string",
    "INT32": "int",
    "INT64": "int",
    "DOUBLE": "double",
    "FLOAT": "double",
    "BOOL": "bool",
    "UNIX_TIMESTAMP": "timestamp",
    "ZONED_TIMESTAMP": "timestamp",
}
_KEY_TYPES = ("int", "string", "bool", "bytes", "timestamp")
_DUMMY_ENTITY = "__dummy"  # what Feast calls the entity of a view that has none
_ROWS_READ = 20_000_000  # of a source, to look for rows of one key and time
_WIDTH = 118


@dataclass(frozen=True)
class Note:
    """Something about the conversion that a person should know.

    ``kind`` is "by hand" for what has no equivalent, "differs" for a value that is another one
    than in Feast, "renamed" or "added".
    """

    kind: str
    what: str  #: the object of Feast, like ``feature view "drivers"``
    text: str
    todo: str = ""  #: what to do by hand

    def __str__(self) -> str:
        return f"{self.what}: {self.text}" + (f". {self.todo}" if self.todo else "")


@dataclass
class Repository:
    """What a Feast registry contains; ``root`` is the folder that relative paths start from."""

    project: str
    root: Path
    entities: Sequence[Any] = ()
    views: Sequence[Any] = ()
    on_demand: Sequence[Any] = ()
    services: Sequence[Any] = ()
    label_views: Sequence[Any] = ()
    sources: Sequence[Any] = ()
    others: Sequence[tuple[str, str, str]] = ()  #: kind and name of what has no equivalent at all, and what to do
    settings: Mapping[str, str] = field(default_factory=dict)  #: online_store, offline_store …: their types


class _Names:
    """Identifiers for names of one kind: unique, and the same one each time a name is asked for."""

    def __init__(self, kind: str, notes: list[Note]) -> None:
        self.kind, self.notes = kind, notes
        self.given: dict[str, str] = {}

    def __call__(self, name: str, suggestion: str | None = None) -> str:
        if name not in self.given:
            unique = base = identifier(suggestion or name)
            taken = {n.lower() for n in self.given.values()}  # most readers of files do not distinguish case
            n = 1
            while unique.lower() in taken:
                n += 1
                unique = f"{base}_{n}"
            self.given[name] = unique
            if unique != name:
                self.notes.append(Note("renamed", f'{self.kind} "{name}"', f"is called {unique}"))
        return self.given[name]


def identifier(name: str) -> str:
    """``name`` with everything replaced that an identifier cannot have."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
    if name[0].isdigit():
        name = "_" + name
    return name + "_" if name in RESERVED else name


def scalar(value: str) -> str:
    """A text as YAML: plain where it can only be read as this text, else in quotes."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./*-]*", value) and value.lower() not in ("true", "false", "null", "yes", "no", "on", "off", "y", "n"):
        return value
    return json.dumps(value, ensure_ascii=False)


def comment(text: str, indent: str = "") -> list[str]:
    """Comment lines; those of the text that are too long are broken at spaces."""
    lines = []
    for line in text.splitlines() or [""]:
        line = re.sub(r"[^\S ]|[\x00-\x1f\x7f\x85\u2028\u2029]", " ", line).rstrip()
        while len(line) > _WIDTH and " " in line.lstrip()[:_WIDTH]:
            lead = len(line) - len(line.lstrip())
            cut = line.rfind(" ", lead, _WIDTH)
            lines.append(line[:cut])
            line = " " * lead + line[cut + 1 :]
        lines.append(line)
    return [f"{indent}# {line}".rstrip() for line in lines]


def window(ttl: timedelta | None) -> str | None:
    """The window of a ttl; None if values live for ever. Windows have whole seconds."""
    if ttl is None or ttl <= timedelta(0):
        return None
    seconds = -(-ttl // timedelta(seconds=1))  # rounded up
    return _span(seconds) + "/exact"


def _span(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _value_type(dtype: Any) -> str:
    """The name of a type in ValueType: of a Field's dtype or of a ValueType itself."""
    if hasattr(dtype, "to_value_type"):
        dtype = dtype.to_value_type()
    return str(getattr(dtype, "name", dtype))


def _is(obj: Any, *names: str) -> bool:
    return any(c.__name__ in names for c in type(obj).__mro__)


def _file_type(t: pa.DataType) -> str | None:
    """The type of a column that a Parquet file has; None if it is not a scalar that can be read."""
    if pa.types.is_dictionary(t):
        t = t.value_type
    tests = (
        (pa.types.is_boolean, "bool"),
        (pa.types.is_integer, "int"),
        (pa.types.is_floating, "double"),
        (pa.types.is_decimal, "double"),
        (pa.types.is_timestamp, "timestamp"),
        (pa.types.is_date, "timestamp"),
        (pa.types.is_string, "string"),
        (pa.types.is_large_string, "string"),
        (pa.types.is_binary, "bytes"),
        (pa.types.is_large_binary, "bytes"),
        (pa.types.is_fixed_size_binary, "bytes"),
        (pa.types.is_duration, "duration"),
    )
    return next((name for test, name in tests if test(t)), None)


# What a declared type can be read from without another value, besides itself: a double from ints, an int from doubles
# that are whole, as pandas writes ints with nulls. A column of nulls only can be anything.
_READS = {"double": ("int",), "int": ("double",)}


@dataclass
class _Files:
    """What the Parquet files of a source say about themselves."""

    paths: list[str]
    schema: pa.Schema
    rows: int
    nulls: set[str]  # columns that have nulls, or do not say that they have none

    @classmethod
    def read(cls, pattern: str) -> _Files | None:
        paths = sorted(p for p in glob.glob(pattern, recursive=True) if os.path.isfile(p))
        if not paths:
            return None
        nulls: set[str] = set()
        rows = 0
        for path in paths:
            meta = pq.read_metadata(path)
            rows += meta.num_rows
            for g in range(meta.num_row_groups):
                for c in range(meta.num_columns):
                    chunk = meta.row_group(g).column(c)
                    stats = chunk.statistics
                    if stats is None or not stats.has_null_count or stats.null_count:
                        nulls.add(chunk.path_in_schema.split(".")[0])
        return cls(paths, pq.read_schema(paths[0]), rows, nulls)

    def repeated(self, columns: Sequence[str]) -> int | None:
        """How many combinations of values of the columns are in several rows; None if that was not looked at."""
        if self.rows > _ROWS_READ or not set(columns) <= set(self.schema.names):
            return None
        table = pa.concat_tables([pq.read_table(p, columns=list(columns), partitioning=None) for p in self.paths], promote_options="permissive")
        counts = table.group_by(list(columns)).aggregate([([], "count_all")])["count_all"].to_numpy()
        return int((counts > 1).sum())


@dataclass
class _Source:
    name: str
    feast: Any  # the batch source; None for a view that has none
    label: str
    names: _Names  # columns of the data to columns here
    files: _Files | None = None
    path: str = ""  # of its files, from the project
    relation: str = ""  # from: or sql:
    absent: str = ""  # instead of it, a comment
    stream: bool = False
    columns: dict[str, tuple[str | None, str]] = field(default_factory=dict)  # name: type, and name in the data
    streams: list[Any] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    keys: set[tuple[str, ...]] = field(default_factory=set)

    def column(self, name: str, kind: str | None) -> str:
        """The name here of the column that Feast calls ``name``."""
        raw = {v: k for k, v in self.mapping.items()}.get(name, name)
        mine = self.names(raw, suggestion=self.mapping.get(raw, raw))
        known = self.columns.get(mine, (None, raw))[0]
        self.columns[mine] = (known or kind, raw)
        return mine

    @property
    def mapping(self) -> Mapping[str, str]:
        return getattr(self.feast, "field_mapping", None) or {}

    def raw(self, column: str) -> str:
        return self.columns[column][1]


@dataclass
class _View:
    name: str
    feast: Any
    entity: str
    keys: list[tuple[str, str]]  # name and type
    features: dict[str, str]  # Feast's name to ours
    lines: list[str]


class Converter:
    """Converts one repository; ``files`` are the texts to write, by path below the project."""

    def __init__(self, repository: Repository, out: Path) -> None:
        self.repo, self.out = repository, out
        self.notes: list[Note] = []
        self.files: dict[str, str] = {}
        self.entity_names = _Names("entity", self.notes)
        self.source_names = _Names("data source", self.notes)
        self.view_names = _Names("feature view", self.notes)
        self.key_names = _Names("join key", self.notes)
        self.service_names = _Names("feature service", self.notes)
        self.by_entity = {e.name: e for e in repository.entities}
        self.entities: dict[tuple[tuple[str, str], ...], tuple[str, list[str]]] = {}  # keys: name and lines
        self.sources: dict[str, _Source] = {}
        self.views: dict[str, _View] = {}
        self.services: list[str] = []
        self.outputs: dict[str, list[tuple[str, str, str]]] = {}  # of a service: our feature, Feast's view and feature

    def run(self) -> None:
        for view in self.repo.views:
            self._view(view)
        for entity in self.repo.entities:
            self._unused_entity(entity)
        for source in self.repo.sources:
            self._unused_source(source)
        services = [lines for s in self.repo.services for lines in self._service(s)]
        if not self.repo.services and self.views:
            services += self._all_views()
        used = {p.name for s in self.repo.services for p in s.feature_view_projections}
        for view in self.repo.on_demand:
            if view.name not in used:
                services.append(["", *self._on_demand(view)])
        for view in self.repo.label_views:
            self._note("by hand", f'label view "{view.name}"', "has no equivalent", "Labels belong into a spine: kind: TrainingSet, or outcomes: of a service")
        for kind, name, todo in self.repo.others:
            self._note("by hand", f'{kind} "{name}"', "has no equivalent", todo)
        self._write(services)

    def _note(self, kind: str, what: str, text: str, todo: str = "") -> Note:
        note = Note(kind, what, text, todo)
        self.notes.append(note)
        return note

    # Entities.

    def _entity(self, names: Sequence[str], keys: list[tuple[str, str]]) -> str:
        """The entity with these keys, which several views share."""
        if tuple(keys) in self.entities:
            return self.entities[tuple(keys)][0]
        wanted = "_".join(names)
        taken = {n for n, _ in self.entities.values()}
        name = self.entity_names(wanted)
        lines = []
        if len(names) > 1:
            lines += comment(f"The keys of {', '.join(names)} together: a view here has one entity, which may have several keys.")
        if name in taken:  # the same entity with keys of other types
            name = self.entity_names(f"{wanted}_{keys[0][1]}")
            types = ", ".join(f"{k} {t}" for k, t in keys)
            lines += comment(str(self._note("added", f'entity "{wanted}"', f"has keys of different types in different views; {name} is the one with {types}")))
        objects = [self.by_entity[n] for n in names]
        lines += ["kind: Entity", f"name: {name}"]
        text = " ".join(filter(None, (getattr(e, "description", "") for e in objects)))
        if text:
            lines.append(f"description: {scalar(text)}")
        lines.append("keys: [" + ", ".join(f"{{name: {k}, type: {t}}}" for k, t in keys) + "]")
        self.entities[tuple(keys)] = (name, lines)
        return name

    def _unused_entity(self, entity: Any) -> None:
        if entity.name == _DUMMY_ENTITY or entity.name in self.entity_names.given:
            return
        kind = TYPES.get(_value_type(entity.value_type))
        if kind not in _KEY_TYPES:
            self._note("by hand", f'entity "{entity.name}"', "is in no feature view and has no type of a key", "It is not written; add it when a view needs it")
            return
        self._entity([entity.name], [(self.key_names(entity.join_key), kind)])

    # Sources.

    def _source(self, view: Any) -> _Source | None:
        batch, stream = view.batch_source, getattr(view, "stream_source", None)
        batch = batch or getattr(stream, "batch_source", None)
        origin = batch or stream
        if origin is None:
            return None
        source = self.sources.get(origin.name)
        if source is None:
            path = str(getattr(batch, "path", "") or "")
            suggestion = Path(urlparse(path).path).stem if path and origin.name == path else origin.name
            label = f'data source "{origin.name}"'
            source = _Source(self.source_names(origin.name, suggestion), batch, label, _Names(f'column of data source "{origin.name}":', self.notes))
            self.sources[origin.name] = source
            self._origin(source)
            timestamp = getattr(origin, "timestamp_field", "")
            if timestamp:
                source.column(timestamp, "timestamp")
            if getattr(origin, "created_timestamp_column", ""):
                source.column(origin.created_timestamp_column, "timestamp")
        if stream is not None and all(s is not stream and s.name != stream.name for s in source.streams):
            self._stream(source, stream)
        return source

    def _source_note(self, source: _Source, kind: str, text: str, todo: str = "") -> None:
        source.notes.append(self._note(kind, source.label, text, todo))

    def _origin(self, source: _Source) -> None:
        """Decides where the data of a source comes from."""
        batch = source.feast
        if batch is None:
            source.stream = True
            return
        if not _is(batch, "FileSource"):
            where = getattr(batch, "table", None) or getattr(batch, "query", None) or getattr(batch, "path", None) or batch.name
            source.absent, source.stream = "from: data/NAME.parquet", True
            self._source_note(
                source,
                "by hand",
                f"is a {type(batch).__name__} of {where}, which Unskew does not read itself, so it has no history yet",
                "Copy it to Parquet and set from:, or write a query of an attached database in sql: (docs/language.md); then remove stream: true if nothing is pushed",
            )
            return
        path = str(batch.path)
        if type(getattr(batch, "file_format", None)).__name__ == "DeltaFormat":
            source.absent, source.stream = f"sql: SELECT * FROM delta_scan({_quoted(self._path(path))})", True
            self._source_note(
                source, "by hand", "is a Delta table, which needs an extension of DuckDB, so it has no history yet",
                "Install the extension delta and write sql:, or copy the table to Parquet and set from:; then remove stream: true if nothing is pushed",
            )
            return
        parsed = urlparse(path)
        if parsed.scheme and parsed.netloc:
            if parsed.scheme in ("http", "https"):
                source.relation = f"from: {scalar(path)}"
                return
            source.absent, source.stream = f"from: {path}", True
            self._source_note(
                source, "by hand", f"lies at {path}, which from: does not read, so it has no history yet",
                f"Write sql: SELECT * FROM '{path}' with DuckDB's extension for it, or copy it and set from:; then remove stream: true if nothing is pushed",
            )
            return
        if (self.repo.root / path).is_dir():
            path = os.path.join(path, "**", "*.parquet")
        source.path = self._path(path)
        try:
            source.files = _Files.read(str(self.repo.root / path))
            problem = self._unusable(source)
        except (pa.ArrowException, OSError) as error:
            problem = f"cannot be read ({str(error).splitlines()[0]})"
        if problem:
            source.files, source.absent, source.stream = None, f"from: {source.path}", True
            self._source_note(source, "by hand", f"{problem}, so it has no history yet", "Set from:, or sql: to convert it; then remove stream: true if nothing is pushed")
        elif not path.endswith(".parquet"):
            source.relation = f"sql: {scalar(f'SELECT * FROM read_parquet({_quoted(source.path)})')}"
        else:
            source.relation = f"from: {scalar(source.path)}"

    def _unusable(self, source: _Source) -> str:
        """Why the files of a source cannot be read as they are; "" if they can."""
        if source.files is None:
            return f"has no file: {source.feast.path} does not exist"
        folded = [n.lower() for n in source.files.schema.names]
        twice = sorted({n for n in folded if folded.count(n) > 1})
        if twice:
            return f"has columns that differ only in case ({', '.join(twice)})"
        for name in (source.feast.timestamp_field, source.feast.created_timestamp_column):
            kind = self._in_file(source, name) if name else "timestamp"
            if kind != "timestamp":
                return f"has {name} as {kind}, which is no time" if kind else f"has no column {name} that is a time"
        return ""

    def _path(self, path: str) -> str:
        """A path of the repository as one of the project: relative paths stay relative."""
        if os.path.isabs(path):
            return path
        return os.path.relpath(self.repo.root / path, self.out).replace(os.sep, "/")

    def _stream(self, source: _Source, stream: Any) -> None:
        source.streams.append(stream)
        kind = type(stream).__name__
        source.stream = True
        if _is(stream, "PushSource"):
            text, todo = "is pushed to", f"Send what FeatureStore.push sends to Client.push({source.name!r}, …) too; add a column with a unique id and event_id: so that retries count once"
        else:
            options = getattr(stream, "kafka_options", None) or getattr(stream, "kinesis_options", None)
            topic = getattr(options, "topic", None) or getattr(options, "stream_name", None) or "?"
            text, todo = f"reads {topic!r}", f"Unskew consumes no streams: let the consumer push to source {source.name} (Client.push)"
        source.notes.append(self._note("by hand", f'{kind} "{stream.name}"', text, todo))
        delay = getattr(getattr(stream, "kafka_options", None), "watermark_delay_threshold", None)
        if delay:
            source.notes.append(self._note("differs", f'{kind} "{stream.name}"', f"discards events that are more than {delay} late; here an event takes effect whenever it comes"))

    def _unused_source(self, source: Any) -> None:
        if source.name in self.sources or _is(source, "RequestSource"):
            return
        if any(s.name == source.name for mine in self.sources.values() for s in mine.streams):
            return
        if _is(source, "PushSource", "KafkaSource", "KinesisSource") and getattr(source, "batch_source", None) is not None:
            self._note("by hand", f'{type(source).__name__} "{source.name}"', "is in no feature view", "It is not written")
            return
        self._note("by hand", f'data source "{source.name}"', "is in no feature view", "It is not written")

    def _source_lines(self, source: _Source) -> list[str]:
        origin = source.feast or source.streams[0]
        timestamp, created = getattr(origin, "timestamp_field", ""), getattr(origin, "created_timestamp_column", "")
        head, body = [], ["kind: Source", f"name: {source.name}"]
        text = getattr(origin, "description", "")
        if text:
            body.append(f"description: {scalar(text)}")
        body += [source.relation] if source.relation else comment(source.absent) if source.absent else []
        if source.stream and source.relation:
            body.append("# unskew:ignore stream-without-id -- the latest value of an event that is there twice is the same")
        if source.stream:
            body.append("stream: true")
        if not timestamp:
            timestamp = "event_timestamp"
            self._source_note(source, "by hand", "has no timestamp field", f"event_time: is set to {timestamp}; correct it")
        body.append(f"event_time: {scalar(source.column(timestamp, 'timestamp'))}")
        if created:
            body += comment(
                "Feast only uses the created timestamp to choose between rows of one event time, and joins a row from its event time on, "
                "however much later it was created. Here a row is known from then on, as it was in serving."
            )
            body.append(f"known_at: {scalar(source.column(created, 'timestamp'))}")
        else:
            self._source_note(
                source, "differs", "has no created timestamp, so every row counts as known when it happened",
                "If a job brings the rows later, say so: known_at: {schedule: \"0 2 * * *\", delay: 30m} or {delay: 1h}",
            )
        self._repeated(source, timestamp, created)
        body.append("columns:")
        for name, (kind, raw) in source.columns.items():
            parts = [f"type: {kind}"] if kind else []
            if raw != name:
                parts.append(f"field: {scalar(raw)}" if "." not in raw else f"field: [{scalar(raw)}]")
            body.append(f"  {scalar(name)}: {{{', '.join(parts)}}}")
        if any(raw != name for name, (_, raw) in source.columns.items()) and source.relation.startswith("sql:"):
            self._source_note(source, "by hand", "renames columns of a query, which field: cannot", "Rename them in sql: and remove field:")
        for note in source.notes:
            head += comment(str(note))
        return [*head, *body]

    def _repeated(self, source: _Source, timestamp: str, created: str) -> None:
        """Tells of rows with the same key and time, between which Feast chooses by another rule."""
        if source.files is None:
            return
        time = source.raw(source.column(timestamp, "timestamp"))
        for keys in sorted(source.keys):
            count = source.files.repeated([*keys, time])
            if count is None:
                self._source_note(source, "differs", f"was not searched for rows with the same {', '.join(keys)} and {time}; of such rows Feast takes the one that was created last, and latest() the greatest value")
            elif count:
                rule = "the one that was created last" if created else "any of them"
                todo = "Remove the duplicates"
                if created:
                    order = source.raw(source.column(created, "timestamp"))
                    parts = ", '/', ".join(f'"{c}"' for c in keys)
                    todo = (
                        f"""To choose as Feast does: sql: SELECT *, concat(epoch_us("{order}"), '/', epoch_us("{time}"), '/', {parts}) AS row_id FROM {_quoted(source.path)} """
                        "instead of from:, and event_id: row_id; of equal times the greatest id is the latest"
                    )
                self._source_note(source, "differs", f"has {count} combinations of {', '.join(keys)} and {time} in several rows, of which Feast takes {rule}, and latest() the greatest value", todo)

    # Views.

    def _view(self, view: Any) -> None:
        what = f'feature view "{view.name}"'
        notes: list[Note] = []

        def note(kind: str, text: str, todo: str = "") -> None:
            notes.append(self._note(kind, what, text, todo))

        source = self._source(view)
        if source is None:
            note("by hand", "has no data source", "It is not written")
            return
        names = [n for n in view.entities if n != _DUMMY_ENTITY]
        if not names:
            note("by hand", "has no entity, and a view here needs one", "Add a constant column with sql: (SELECT *, 'all' AS scope …), an entity with the key scope, and the view")
            return
        keys, columns = self._keys(view, names, source, note)
        if keys is None:
            return
        self._transformed(view, source, note)
        features, expressions = self._features(view, source, note)
        if not features:
            note("by hand", "has no feature that can be written", "See the notes on its features")
            return
        name = self.view_names(view.name)
        entity = self._entity(names, keys)
        source.keys.add(tuple(source.raw(c) for c in columns))
        lines = ["kind: FeatureView", f"name: {name}"]
        if view.description:
            lines.append(f"description: {scalar(view.description)}")
        lines += [f"entity: {entity}", f"source: {source.name}"]
        if any(k != c for (k, _), c in zip(keys, columns, strict=True)):
            lines.append("keys: {" + ", ".join(f"{k}: {scalar(c)}" for (k, _), c in zip(keys, columns, strict=True) if k != c) + "}")
        lines += ["features:", *expressions, *_ownership(view)]
        lines[:0] = [line for n in notes for line in comment(str(n))]
        self.views[view.name] = _View(name, view, entity, keys, features, lines)

    def _keys(self, view: Any, names: Sequence[str], source: _Source, note: Any) -> tuple[list[tuple[str, str]] | None, list[str]]:
        declared = {f.name: TYPES.get(_value_type(f.dtype)) for f in view.entity_columns}
        keys, columns = [], []
        for name in names:
            entity = self.by_entity.get(name)
            if entity is None:
                note("by hand", f'has an entity "{name}" that is not in the registry', "It is not written")
                return None, []
            in_file = self._in_file(source, entity.join_key)
            kind = declared.get(entity.join_key) or TYPES.get(_value_type(entity.value_type)) or in_file
            if in_file is not None and kind is not None and in_file != kind and in_file not in _READS.get(kind, ()):
                note("differs", f"its key {entity.join_key} is {kind} in Feast and {in_file} in the data; here it is {in_file}")
                kind = in_file
            if kind not in _KEY_TYPES:
                if kind is not None:
                    note("by hand", f"has a key {entity.join_key} of type {kind}, which keys cannot have ({', '.join(_KEY_TYPES)})", "Convert it with sql:")
                    return None, []
                kind = "string"
                note("by hand", f"does not say of which type its key {entity.join_key} is", "It is taken for a string; correct it")
            column = source.column(entity.join_key, kind)
            if source.columns[column][0] != kind:
                kind = str(source.columns[column][0])
            keys.append((self.key_names(entity.join_key), kind))
            columns.append(column)
        return keys, columns

    def _in_file(self, source: _Source, name: str) -> str | None:
        raw = {v: k for k, v in source.mapping.items()}.get(name, name)
        if source.files is None or raw not in source.files.schema.names:
            return None
        return _file_type(source.files.schema.field(raw).type)

    def _transformed(self, view: Any, source: _Source, note: Any) -> None:
        """What a view does to its data before it has features."""
        for agg in getattr(view, "aggregations", None) or ():
            note("by hand", f"aggregates a stream: {agg.function} of {agg.column}; what is written reads the results from its data source",
                 f"To compute it from the events: a source with them, and {aggregate(agg)}")
        code = _code(view)
        if code:
            note("by hand", "transforms its data by code, which has no equivalent; what is written reads the results from its data source, if they are there",
                 "Write it as expressions over a source with the events. The code:\n" + code)
        for upstream in getattr(view, "source_views", None) or ():
            note("by hand", f'is computed from feature view "{upstream.name}"', "What is written reads the results from its sink")
        if getattr(view, "stream_source", None) is None and source.streams:
            note("differs", "does not see what is pushed to its data source in Feast; here it does")
        if getattr(view, "online", True) is False:
            note("differs", "is not served in Feast (online=False); here every view can be")
        if str(getattr(view, "version", "latest") or "latest") != "latest":
            note("by hand", f"is pinned to version {view.version}", "The definition that is current was converted; the history of definitions belongs into git")

    def _features(self, view: Any, source: _Source, note: Any) -> tuple[dict[str, str], list[str]]:
        span = window(view.ttl)
        if view.ttl is not None and view.ttl % timedelta(seconds=1):
            note("differs", f"has a ttl of {view.ttl}, which is rounded up to whole seconds")
        names = _Names(f'feature of view "{view.name}":', self.notes)
        features, lines = {}, []
        for f in view.features:
            value_type = _value_type(f.dtype)
            kind, in_file = TYPES.get(value_type), self._in_file(source, f.name)
            if value_type.startswith("DECIMAL") and not value_type.endswith(("LIST", "SET")):
                kind = in_file if in_file in ("double", "string") else "string"
                note("differs", f"{f.name} is a decimal; it is read as {kind}")
            raw = {v: k for k, v in source.mapping.items()}.get(f.name, f.name)
            missing = source.files is not None and raw not in source.files.schema.names
            if kind is None or missing:
                todo = _LISTS if "LIST" in value_type or "SET" in value_type else _STRUCTS
                text = f"{f.name} is {_described(f.dtype)}: a feature is computed from scalar columns" if kind is None else f"{f.name} is not a column of the data"
                note("by hand", text, todo if kind is None else "Write it as an expression, or write the column")
                lines += comment(f"{f.name}: {text}", "  ")
                continue
            if in_file is not None and in_file != kind and in_file not in _READS.get(kind, ()):
                note("differs", f"{f.name} is {_described(f.dtype)} in Feast and {in_file} in the data; here it is {in_file}")
                kind = in_file
            if value_type == "FLOAT" and source.files is not None and not pa.types.is_float32(source.files.schema.field(raw).type):
                note("differs", f"{f.name} is Float32 in Feast and {source.files.schema.field(raw).type} in the data: serving from Feast's online store rounds it; here it stays a double")
            if value_type in ("UNIX_TIMESTAMP", "ZONED_TIMESTAMP"):
                note("differs", f"{f.name} is a time, of which Feast's online store keeps whole seconds; here it keeps microseconds")
            if getattr(f, "vector_index", False):
                note("by hand", f"{f.name} has a vector index", "Keep it in a vector database")
            column = source.column(f.name, kind)
            if source.columns[column][0] != kind:
                note("differs", f"{f.name} is {source.columns[column][0]}, as another view of the data has it")
            features[f.name] = names(f.name)
            nullable = source.files is not None and raw in source.files.nulls
            if nullable:
                note("differs", f"{f.name} has nulls: Feast gives the null of the newest row, which the expression keeps; latest({column}) would give the newest value that is not null")
            lines += self._feature(f, features[f.name], _latest(column, span, nullable))
        return features, lines

    def _feature(self, f: Any, name: str, expr: str) -> list[str]:
        text, tags = getattr(f, "description", ""), _tags(f)
        if not text and not tags:
            return [f"  {name}: {_expression(expr)}"]
        lines = [f"  {name}:", f"    expr: {_expression(expr)}"]
        if text:
            lines.append(f"    description: {scalar(text)}")
        if tags:
            lines.append(f"    tags: {tags}")
        return lines

    # Services.

    def _service(self, service: Any) -> Iterable[list[str]]:
        what = f'feature service "{service.name}"'
        notes: list[Note] = []

        def note(kind: str, text: str, todo: str = "") -> None:
            if Note(kind, what, text, todo) not in notes:
                notes.append(self._note(kind, what, text, todo))

        items: dict[tuple[str, str], tuple[_View, Mapping[str, str], list[str]]] = {}
        on_demand: list[Any] = []
        derived = {v.name: v for v in self.repo.on_demand}
        for p in service.feature_view_projections:
            if p.name in derived:
                on_demand.append(derived[p.name])
                continue
            self._project(p, items, note)
        if getattr(service, "logging_config", None) is not None:
            rate = getattr(service.logging_config, "sample_rate", 1.0)
            note("by hand", f"logs {rate:.0%} of what it serves", f"served_log: {{rate: {100 * rate:g}%}} in unskew.yaml records it")
        if getattr(service, "precompute_online", False):
            note("differs", "is precomputed in Feast; here values are computed when they are read")
        for view in on_demand:
            for p in getattr(view, "source_feature_view_projections", {}).values():
                if self._project(p, items, note):
                    note("added", f'reads all that on demand feature view "{view.name}" reads of {p.name}: a derived feature needs it')
        if not items:
            note("by hand", "reads nothing that could be written", "It is not written")
            return
        name = self.service_names(service.name)
        self.services.append(name)
        lines = ["kind: FeatureService", f"name: {name}"]
        if getattr(service, "description", ""):
            lines.append(f"description: {scalar(service.description)}")
        lines.append("features:")
        types: dict[str, str] = {}
        for (role, _), (view, keys, wanted) in items.items():
            needs = {keys.get(k, k): t for k, t in view.keys}
            if any(types.get(k, t) != t for k, t in needs.items()):
                note("by hand", f"reads {role}, which has a key of another type than other views, and is not in it", "Convert the key with sql: in one of the sources")
                continue
            lines += self._item(role, view, keys, wanted)
            types |= needs
            self.outputs.setdefault(name, []).extend((f"{role}.{view.features[f]}", role, f) for f in wanted)
        lines += self._request(on_demand, types, note)
        for view in on_demand:
            lines += self._on_demand(view)
        lines[:0] = [line for n in notes for line in comment(str(n))]
        yield ["---", *lines] if len(self.services) > 1 else lines

    def _project(self, p: Any, items: dict[tuple[str, str], tuple[_View, Mapping[str, str], list[str]]], note: Any) -> bool:
        """Adds what a projection selects to the items of a service, and says whether something was not there yet."""
        view = self.views.get(p.name)
        if view is None:
            note("by hand", f'reads feature view "{p.name}", which is not written', "Add it to the service when the view is there")
            return False
        if getattr(p, "version_tag", None) is not None:
            note("by hand", f'reads version {p.version_tag} of feature view "{p.name}"', "It reads the current definition; define a view of its own if the other is needed")
        alias = getattr(p, "name_alias", None)
        role = view.name if alias is None else identifier(alias)
        if alias is not None and role != alias:
            note("renamed", f'the alias "{alias}" is called {role}')
        keys = {self.key_names(k): identifier(v) for k, v in (p.join_key_map or {}).items() if self.key_names(k) != identifier(v)}
        at = (role, json.dumps(keys, sort_keys=True))
        while any(r == role and k != at[1] for r, k in items):
            role += "_2"
            at = (role, at[1])
            note("renamed", f"reads {p.name} twice by other keys: the second is called {role}")
        _, _, wanted = items.setdefault(at, (view, keys, []))
        before = len(wanted)
        for f in p.features:
            if f.name not in view.features:
                note("by hand", f"reads {p.name}:{f.name}, which is not written", "Add it to the service when the feature is there")
            elif f.name not in wanted:
                wanted.append(f.name)
        if not wanted:
            del items[at]
        return len(wanted) > before

    def _item(self, role: str, view: _View, keys: Mapping[str, str], wanted: Sequence[str]) -> list[str]:
        targets = [view.name] if set(wanted) == set(view.features) else [f"{view.name}.{view.features[f]}" for f in wanted]
        extra = ""
        if role != view.name:
            extra += f", as: {role}"
        if keys:
            extra += ", keys: {" + ", ".join(f"{k}: {v}" for k, v in keys.items()) + "}"
        return [f"  - {{view: {t}{extra}}}" if extra else f"  - {t}" for t in targets]

    def _request(self, on_demand: Sequence[Any], types: Mapping[str, str], note: Any) -> list[str]:
        fields: dict[str, str] = {}
        for view in on_demand:
            for source in getattr(view, "source_request_sources", {}).values():
                for f in source.schema:
                    kind, name = TYPES.get(_value_type(f.dtype)), identifier(f.name)
                    if kind is None or types.get(name, kind) != kind or fields.get(name, kind) != kind:
                        note("by hand", f"has a request field {f.name} that is {_described(f.dtype)}", "Send it as scalars, under a name of its own")
                        continue
                    if name != f.name:
                        note("renamed", f'the request field "{f.name}" is called {name}')
                    fields[name] = kind
        return ["request:", *(f"  {n}: {t}" for n, t in fields.items())] if fields else []

    def _on_demand(self, view: Any) -> list[str]:
        """Comments about an on demand feature view: its code has to be written as CEL by hand."""
        outputs = ", ".join(f"{f.name} ({_described(f.dtype)})" for f in view.features)
        note = Note("by hand", f'on demand feature view "{view.name}"', f"computes {outputs} by code, which has no equivalent",
                    "Write each as an expression under derived: of the service, over view.feature and request.field")
        if note not in self.notes:
            self.notes.append(note)
        lines = comment(str(note))
        if getattr(view, "write_to_online_store", False):
            lines += comment("Feast computes it when features are written; a derived feature is computed when it is read.")
        code = _code(view)
        return [*lines, *(comment("The code:\n" + code) if code else [])]

    def _all_views(self) -> list[list[str]]:
        """A service of all views, for a repository that reads features by name only."""
        name = self.service_names("all_features")
        self.services.append(name)
        note = self._note("added", "feature services", f"there are none, so {name} has every view", "A service is what one model reads: write one for each model")
        lines = [*comment(str(note)), "kind: FeatureService", f"name: {name}", "features:"]
        types: dict[str, str] = {}
        for view in self.views.values():
            if any(types.get(k, t) != t for k, t in view.keys):
                text = f"has a key of another type than other views, so it is not in {name}"
                lines[:0] = comment(str(self._note("by hand", f'feature view "{view.feast.name}"', text)))
                continue
            types |= dict(view.keys)
            lines.append(f"  - {view.name}")
            self.outputs.setdefault(name, []).extend((f"{view.name}.{mine}", view.name, f) for f, mine in view.features.items())
        return [lines]

    # Files.

    def _write(self, services: list[list[str]]) -> None:
        # Notes arise while sources are written, so these come first.
        sources = [self._source_lines(s) for s in self.sources.values() if s.keys]
        for s in self.sources.values():
            if not s.keys:
                self._note("by hand", s.label, "is not written, since none of its views is")
        documents = {
            "entities": [lines for _, lines in self.entities.values()],
            "sources": sources,
            "views": [v.lines for v in self.views.values()],
        }
        heads = {
            "entities": "Entities.",
            "sources": "Data sources.",
            "views": "Feature views. A value in Feast is that of the newest row up to T, T included, that is no older than the ttl; latest() reads the rows "
            "before T, and its window is the ttl, to the microsecond. Most of Feast's online stores serve a value beyond its ttl; here it expires in serving, too.",
        }
        for name, parts in documents.items():
            if parts:
                self.files[f"features/{name}.yaml"] = "\n".join([*comment(heads[name]), "", *_joined(parts), ""])
        text = [line for part in services for line in part]
        if text:
            self.files["features/services.yaml"] = "\n".join([*comment("Feature services."), "", *text, ""])
        self.files["unskew.yaml"] = "\n".join(self._project_file())

    def _project_file(self) -> list[str]:
        name = self.repo.project
        lines = [f"project: {scalar(identifier(name))}"]
        if identifier(name) != name:
            self._note("renamed", f'project "{name}"', f"is called {identifier(name)}")
        for key, value in self.repo.settings.items():
            todo = {
                "online_store": "Live state is kept in an embedded store; for Redis: online: {redis: {addresses: [localhost:6379]}}",
                "offline_store": "Unskew reads the files of sources itself; databases that sql: reads are named under attach:",
            }.get(key, "There is nothing to set for it")
            self._note("by hand", key.replace("_", " "), f"is {value} in feature_store.yaml", todo)
        by_hand = [n for n in self.notes if n.kind == "by hand"]
        if by_hand:
            lines += ["", *comment("What the import from Feast left to do by hand:")]
            lines += [line for n in by_hand for line in comment("- " + str(n).splitlines()[0])]
        return [*lines, ""]


_LISTS = "Let sql: read an element (vector[1] AS vector_1) or join it to a text, or keep it outside"
_STRUCTS = "Read its fields as columns with field: [column, name], or keep it outside"


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


def _latest(column: str, span: str | None, nullable: bool) -> str:
    tail = f', "{span}"' if span else ""
    if not nullable:
        return f"latest({column}{tail})"
    # A null is no value for latest; a list without one is.
    return f"latest({column} != null ? [{column}] : []{tail}).optFlatMap(v, v.first())"


def _expression(expr: str) -> str:
    """An expression as YAML: plain unless YAML would read it as something else."""
    return expr if ": " not in expr and " #" not in expr else "'" + expr.replace("'", "''") + "'"


def aggregate(agg: Any) -> str:
    """An aggregation of Feast as an expression."""
    name = {"count_distinct": "distinct_count", "avg": "mean", "std": "stddev_samp", "var": "var_samp"}.get(agg.function, agg.function)
    span = ""
    if agg.time_window:
        span = _span(int(agg.time_window.total_seconds()))
        if agg.slide_interval and agg.slide_interval != agg.time_window:
            span += "/" + _span(int(agg.slide_interval.total_seconds()))
    arguments = [a for a in (identifier(agg.column) if agg.column else "", f'"{span}"' if span else "") if a]
    return f"{name}({', '.join(arguments)})"


def _described(dtype: Any) -> str:
    return str(dtype) if hasattr(dtype, "to_value_type") else _value_type(dtype)


def _code(view: Any) -> str:
    transformation = getattr(view, "feature_transformation", None)
    text = getattr(transformation, "udf_string", "") or getattr(view, "udf_string", "") or ""
    if not text and transformation is not None:
        text = f"(its source text is not in the registry; a {type(transformation).__name__})"
    return str(text).rstrip()


def _tags(obj: Any) -> str:
    tags = getattr(obj, "tags", None) or {}
    return "[" + ", ".join(scalar(f"{k}={v}" if v else str(k)) for k, v in tags.items()) + "]" if tags else ""


def _ownership(obj: Any) -> list[str]:
    owner = getattr(obj, "owner", "")
    lines = [f"owner: {scalar(owner)}"] if owner else []
    tags = _tags(obj)
    return [*lines, f"tags: {tags}"] if tags else lines


def _joined(parts: Sequence[Sequence[str]]) -> list[str]:
    """Documents of one file."""
    lines = list(parts[0])
    for part in parts[1:]:
        lines += ["---", *part]
    return lines
