"""The wire contract (proto/unskew/v1) and Arrow columns.

The message classes are built at import from ``wire.binpb``, a descriptor set that ``make
generate`` writes, so that any version of the protobuf runtime works.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from .errors import InvalidArgument, UnskewError
from .frames import micros, warn_naive

_PACKAGE = "unskew.v1"


def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(resources.files(__package__).joinpath("wire.binpb").read_bytes())
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_pool = _load()


def message(name: str) -> Any:
    """The class of a message of the contract."""
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


class Method(NamedTuple):
    """A method of a service: its path, its messages, and which kind of call it is to gRPC."""

    name: str
    path: str
    kind: str
    request: Any
    response: Any


def methods(service: str) -> list[Method]:
    """The methods of a service of the contract."""
    descriptor = _pool.FindServiceByName(f"{_PACKAGE}.{service}")
    sides = {False: "unary", True: "stream"}
    return [
        Method(
            m.name,
            f"/{descriptor.full_name}/{m.name}",
            f"{sides[m.client_streaming]}_{sides[m.server_streaming]}",
            message_factory.GetMessageClass(m.input_type),
            message_factory.GetMessageClass(m.output_type),
        )
        for m in descriptor.methods
    ]


def enum_names(name: str) -> dict[int, str]:
    """Number to name of an enumeration, without the prefix that all its names share."""
    descriptor = _pool.FindEnumTypeByName(f"{_PACKAGE}.{name}")
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper() + "_"
    return {v.number: v.name.removeprefix(prefix) for v in descriptor.values}


Column = message("Column")

#: Types of the definition language by their Arrow types; a list or map is made of these.
ARROW_TYPES: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "uint": pa.uint64(),
    "double": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "duration": pa.duration("ns"),
}


def arrow_type(text: str) -> pa.DataType:
    """The Arrow type of a type as definitions write it, like ``map(string, list(int))``."""
    text = text.strip()
    if text in ARROW_TYPES:
        return ARROW_TYPES[text]
    if text.startswith("list(") and text.endswith(")"):
        return pa.list_(arrow_type(text[5:-1]))
    if text.startswith("map(") and text.endswith(")"):
        key, value = _split(text[4:-1])
        return pa.map_(arrow_type(key), arrow_type(value))
    raise UnskewError(f"this package does not know the type {text!r}; a newer one may")


def _split(text: str) -> tuple[str, str]:
    """Splits ``K, V`` at the comma outside of parentheses."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            return text[:i], text[i + 1 :]
    raise UnskewError(f"{text!r} is not a pair of types")


# From Arrow to the contract.

_MEMBERS = {
    "bool": ("bools", "values"),
    "int": ("ints", "values"),
    "double": ("doubles", "values"),
    "string": ("strings", "values"),
    "bytes": ("bytes", "values"),
    "timestamp": ("timestamps", "micros"),
    "duration": ("durations", "nanos"),
}
_ZEROS: dict[str, object] = {"bool": False, "int": 0, "double": 0.0, "string": "", "bytes": b"", "timestamp": 0, "duration": 0}


def column(name: str, values: pa.ChunkedArray, declared: str | None, what: str) -> Any:
    """A column of the contract from Arrow values.

    ``declared`` is the type the server expects, None where it is not known. Only an int
    becomes a double, and a double an int where every value is whole (a frame that has
    nulls holds ints as doubles); anything else of another type is an error.
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    try:
        kind, plain = _plain(name, values, declared, what)
    except pa.ArrowInvalid as error:  # a uint above the greatest int, a span too long for nanoseconds
        raise InvalidArgument(f'{what}: column "{name}": {error}') from None
    out = Column(name=name)
    member, field = _MEMBERS[kind]
    nulls = plain.null_count
    if nulls:
        out.nulls.extend(pc.indices_nonzero(plain.is_null()).to_pylist())
        plain = plain.fill_null(_ZEROS[kind])
    part = getattr(out, member)
    part.SetInParent()
    getattr(part, field).extend(plain.to_pylist())
    return out


def _plain(name: str, values: pa.ChunkedArray, declared: str | None, what: str) -> tuple[str, pa.ChunkedArray]:
    """The kind of a column and its values as the contract encodes them."""
    t = values.type
    if pa.types.is_null(t):
        if declared is None:
            raise InvalidArgument(f'{what}: column "{name}" has no value, so its type is unknown; leave it out')
        return declared, pa.chunked_array([pa.nulls(len(values), _carried(declared))])
    for fits, kind, convert in _CONVERSIONS:
        if fits(t):
            if kind == "timestamp" and pa.types.is_timestamp(t) and t.tz is None:
                warn_naive(what, name)
            return _declared(name, kind, convert(values), declared, what)
    raise InvalidArgument(f'{what}: column "{name}" is of the Arrow type {t}, for which definitions have no type; cast it')


def _carried(kind: str) -> pa.DataType:
    return pa.int64() if kind in ("timestamp", "duration") else ARROW_TYPES[kind]


def _declared(name: str, kind: str, values: pa.ChunkedArray, declared: str | None, what: str) -> tuple[str, pa.ChunkedArray]:
    if declared is None or declared == kind:
        return kind, values
    try:
        if (kind, declared) == ("int", "double"):
            return declared, values.cast(pa.float64())  # fails where it is not exact
        if (kind, declared) == ("double", "int"):
            return declared, values.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise InvalidArgument(f'{what}: column "{name}" is declared as {declared}: {error}') from None
    raise InvalidArgument(f'{what}: column "{name}" is declared as {declared} but holds {kind}s')


def _nanos(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(pa.duration("ns")).cast(pa.int64())


def _midnights(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return micros(values.cast(pa.timestamp("us")))


def _is_text(t: pa.DataType) -> bool:
    return bool(pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t))


def _is_bytes(t: pa.DataType) -> bool:
    return bool(pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t) or pa.types.is_binary_view(t))


_CONVERSIONS: list[tuple[Callable[[pa.DataType], bool], str, Callable[[pa.ChunkedArray], pa.ChunkedArray]]] = [
    (pa.types.is_boolean, "bool", lambda v: v),
    (pa.types.is_integer, "int", lambda v: v.cast(pa.int64())),
    (pa.types.is_floating, "double", lambda v: v.cast(pa.float64())),
    (_is_text, "string", lambda v: v.cast(pa.string())),
    (_is_bytes, "bytes", lambda v: v.cast(pa.binary())),
    (pa.types.is_timestamp, "timestamp", micros),
    (pa.types.is_date, "timestamp", _midnights),
    (pa.types.is_duration, "duration", _nanos),
]


# From the contract to Arrow.


def arrow_column(wire: Any, type_text: str, rows: int) -> pa.Array:
    """The values of a column of the contract, of the Arrow type of ``type_text``."""
    t = arrow_type(type_text)
    member = wire.WhichOneof("values")
    if member == "nested":
        values = [_value(v) for v in wire.nested.values]
    else:
        part = getattr(wire, member)
        values = getattr(part, {"timestamps": "micros", "durations": "nanos"}.get(member, "values"))
    if len(values) != rows:
        raise UnskewError(f"the server's answer for {wire.name} has {len(values)} values for {rows} rows")
    if not wire.nulls:
        return pa.array(values, type=t) if member == "nested" else _flat(values, t)
    kept: list[Any] = list(values)
    for i in wire.nulls:
        kept[i] = None
    return pa.array(kept, type=t) if member == "nested" else _flat(kept, t)


def _flat(values: Any, t: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(t) or pa.types.is_duration(t):
        return pa.array(values, type=pa.int64()).cast(t)
    return pa.array(values, type=t)


def _value(v: Any) -> Any:
    """A nested value as Arrow takes it: maps are lists of pairs."""
    kind = v.WhichOneof("kind")
    if kind is None:
        return None
    if kind == "list":
        return [_value(e) for e in v.list.values]
    if kind == "map":
        return [(_value(e.key), _value(e.value)) for e in v.map.entries]
    return getattr(v, kind)
