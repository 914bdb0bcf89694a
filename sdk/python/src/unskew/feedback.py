"""Predictions and outcomes as rows of the sources that a service declares for them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .errors import InvalidArgument
from .frames import Frame, times_in_utc, to_arrow

_UTC_MICROS = pa.timestamp("us", tz="UTC")


def predictions(frame: Frame, request_id: str | None, model: str | None, at: datetime | None) -> pa.Table:
    """Rows of a source of predictions: ``frame`` with the columns that are missing."""
    table = _answered(to_arrow(frame, "predictions"), "predictions", request_id)
    if model is not None:
        table = _constant(table, "predictions", "model", pa.scalar(model))
    if "model" not in table.column_names:
        raise InvalidArgument('predictions have no column "model"; name the model with model=')
    table = _times(table, "predictions", "predicted_at", at)
    return _with_id(table, "prediction_id", "request_id", "request_row", "model")


def outcomes(frame: Frame, at: datetime | None) -> pa.Table:
    """Rows of a source of outcomes: ``frame`` with the columns that are missing."""
    table = _times(_answered(to_arrow(frame, "outcomes"), "outcomes", None), "outcomes", "observed_at", at)
    return _with_id(table, "outcome_id", "request_id", "request_row")


def _answered(table: pa.Table, what: str, request_id: str | None) -> pa.Table:
    """``table`` with the request and the row of it that each of its rows is about."""
    if request_id is not None:
        table = _constant(table, what, "request_id", pa.scalar(request_id))
        if "request_row" not in table.column_names:
            table = table.append_column("request_row", pa.array(range(len(table)), pa.int64()))
    if "request_id" not in table.column_names:
        raise InvalidArgument(f'{what} have no column "request_id"; it is OnlineFeatures.request_id of the answer')
    if "request_row" not in table.column_names:
        table = table.append_column("request_row", pa.repeat(pa.scalar(0, pa.int64()), len(table)))
    for name in ("request_id", "request_row"):
        if table.column(name).null_count:
            raise InvalidArgument(f'{what}: column "{name}" has a null; nothing can be logged for a row without it')
    return table


def _constant(table: pa.Table, what: str, name: str, value: pa.Scalar) -> pa.Table:
    if name in table.column_names:
        raise InvalidArgument(f'{what} have a column "{name}", so {name}= has no meaning; leave one of them out')
    return table.append_column(name, pa.repeat(value, len(table)))


def _times(table: pa.Table, what: str, name: str, at: datetime | None) -> pa.Table:
    if at is not None:
        table = _constant(table, what, name, pa.scalar(at))
    elif name not in table.column_names:
        table = _constant(table, what, name, pa.scalar(datetime.now(timezone.utc), _UTC_MICROS))
    return times_in_utc(table, what)


def _with_id(table: pa.Table, name: str, *parts: str) -> pa.Table:
    columns: list[Any] = [table.column(p).cast(pa.string()) for p in parts]
    return table.append_column(name, pc.binary_join_element_wise(*columns, "/"))
