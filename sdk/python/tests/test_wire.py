import pyarrow as pa
import pytest

import unskew
from unskew import wire


def test_types_of_definitions():
    assert wire.arrow_type("map(string, list(int))") == pa.map_(pa.string(), pa.list_(pa.int64()))
    assert wire.arrow_type("map(string, map(int, double))") == pa.map_(pa.string(), pa.map_(pa.int64(), pa.float64()))
    with pytest.raises(unskew.UnskewError, match="does not know the type 'decimal'"):
        wire.arrow_type("decimal")


def test_nested_values():
    column = wire.Column(name="x", nulls=[1])
    column.nested.values.add().map.entries.add().key.string = "DE"
    column.nested.values[0].map.entries[0].value.int = 2
    column.nested.values.add()
    assert wire.arrow_column(column, "map(string, int)", 2).to_pylist() == [[("DE", 2)], None]


def test_columns_keep_their_nulls_and_types():
    cases = {
        "int": pa.array([1, None, -(2**63)], pa.int64()),
        "double": pa.array([1.5, None, float("inf")]),
        "string": pa.array(["a", None, ""]),
        "bytes": pa.array([b"a", None, b""]),
        "bool": pa.array([True, None, False]),
        "timestamp": pa.array([1, None, -1], pa.timestamp("us", tz="UTC")),
        "duration": pa.array([1, None, -1], pa.duration("ns")),
    }
    for kind, values in cases.items():
        sent = wire.column("x", pa.chunked_array([values]), kind, "test")
        assert list(sent.nulls) == [1]
        assert wire.arrow_column(sent, kind, 3).equals(values)
        nothing = wire.column("x", pa.chunked_array([pa.nulls(2)]), kind, "test")
        assert wire.arrow_column(nothing, kind, 2).null_count == 2


def test_unsupported_types_are_refused():
    for values in (pa.array([{"a": 1}]), pa.array([2**63], pa.uint64()), pa.array([2**62], pa.duration("s")), pa.nulls(1)):
        with pytest.raises(unskew.InvalidArgument, match='^test: column "x"'):
            wire.column("x", pa.chunked_array([values]), None, "test")
