"""Converts the caller's tables to Arrow tables."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

import pyarrow as pa
import pyarrow.compute as pc

from .errors import NaiveTimeWarning, UnskewError

if TYPE_CHECKING:
    import pandas
    import polars

#: The types accepted as a table.
Frame = Union[
    pa.Table, pa.RecordBatch, "pandas.DataFrame", "polars.DataFrame", Mapping[str, Sequence[Any]], Sequence[Mapping[str, Any]]
]

_MICROS_UTC = pa.timestamp("us", tz="UTC")


def to_arrow(frame: Frame, what: str) -> pa.Table:
    """``frame`` as an Arrow table; ``what`` names it in errors."""
    given: Any = frame
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if _is_a(frame, "polars", "DataFrame"):
        return given.to_arrow()
    if _is_a(frame, "polars", "LazyFrame"):
        return given.collect().to_arrow()
    try:
        if _is_a(frame, "pandas", "DataFrame"):
            return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        if isinstance(frame, Mapping):
            return pa.table(dict(frame))
        if isinstance(frame, Sequence) and all(isinstance(row, Mapping) for row in frame):
            return _of_rows(frame)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
        raise UnskewError(f"{what}: {'; '.join(map(str, error.args))}") from None
    raise UnskewError(
        f"{what} is a {type(frame).__name__}; give a pandas or polars DataFrame, an Arrow table, a dict of lists or a list of dicts"
    )


def _is_a(frame: object, module: str, name: str) -> bool:
    """Whether frame is an instance of a class of a module, without importing it."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(frame, kind)


def _of_rows(rows: Sequence[Any]) -> pa.Table:
    names: dict[str, None] = {}
    for row in rows:
        for name in row:
            names.setdefault(name)
    return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})


def times_in_utc(table: pa.Table, what: str) -> pa.Table:
    """``table`` with every timestamp as microseconds in UTC, floored.

    Times with a zone keep their instant; those without are taken as UTC, which a
    NaiveTimeWarning says. Dates are not converted: they mean midnight in UTC.
    """
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            if field.type.tz is None:
                warn_naive(what, field.name)
            table = table.set_column(i, pa.field(field.name, _MICROS_UTC), micros(table.column(i)).cast(_MICROS_UTC))
    return table


def warn_naive(what: str, column: str) -> None:
    warnings.warn(
        f'{what}: the times in column "{column}" have no zone and are taken as UTC; '
        "localize them (tz_localize in pandas, replace_time_zone in polars) if they are of another",
        NaiveTimeWarning,
        stacklevel=_levels_to_caller(),
    )


def _levels_to_caller() -> int:
    """The stacklevel, in the function that calls this one, of the code that called the package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == os.path.dirname(__file__):
        level, frame = level + 1, frame.f_back
    return level


_FLOOR = {"ns": 1000, "us": 1}
_SCALE = {"s": 1_000_000, "ms": 1000}


def micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps as int64 microseconds since the Unix epoch; what is finer is floored."""
    unit = column.type.unit
    whole = column.cast(pa.timestamp(unit)).cast(pa.int64()) if column.type.tz is None else column.cast(pa.int64())
    if unit in _SCALE:
        return pc.multiply_checked(whole, _SCALE[unit])
    if _FLOOR[unit] == 1:
        return whole
    quotient = pc.divide(whole, _FLOOR[unit])  # toward zero
    below = pc.and_(pc.less(whole, 0), pc.not_equal(pc.multiply(quotient, _FLOOR[unit]), whole))
    return pc.subtract(quotient, below.cast(pa.int64()))
