# Prints, a line of JSON for each top-level column without a nested type, the values that
# pyarrow reads from the Parquet files of a folder, as texts. Files that pyarrow refuses have
# one line with an error.
import datetime, decimal, glob, json, os, sys
import pyarrow as pa
import pyarrow.parquet as pq

def kind_of(t):
    for kind, is_kind in (("bool", pa.types.is_boolean), ("int", pa.types.is_integer), ("double", pa.types.is_floating), ("double", pa.types.is_decimal),
                          ("string", pa.types.is_string), ("bytes", pa.types.is_binary), ("bytes", pa.types.is_fixed_size_binary),
                          ("timestamp", pa.types.is_date), ("timestamp", pa.types.is_timestamp)):
        if is_kind(t):
            return kind
    return None


def texts(kind, t, column):
    if pa.types.is_timestamp(t):
        per = {"s": lambda n: n * 10**6, "ms": lambda n: n * 10**3, "us": lambda n: n, "ns": lambda n: n // 1000}[t.unit]
        return [None if n is None else str(per(n)) for n in column.cast(pa.timestamp(t.unit)).cast(pa.int64()).to_pylist()]
    return [text(kind, v) for v in column.to_pylist()]


for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.parquet"))):
    file = os.path.basename(path)
    try:
        f = pq.ParquetFile(path, coerce_int96_timestamp_unit="us")
        columns = {}
        for field in f.schema_arrow:
            kind = kind_of(field.type)
            if kind and field.name not in columns:
                columns[field.name] = (kind, field.type, f.read(columns=[field.name]).column(0))
        for name, (kind, t, column) in columns.items():
            print(json.dumps({"file": file, "column": name, "kind": kind, "type": str(t), "values": texts(kind, t, column)}))
    except (OSError, pa.ArrowException) as e:
        print(json.dumps({"file": file, "error": str(e)}))
