# Writes Parquet files with random schemas and layouts to a folder and prints, a line of JSON
# for each column, the values that pyarrow itself reads back, as texts.
import datetime, decimal, json, os, random, struct, sys
import pyarrow as pa
import pyarrow.parquet as pq

folder, seed = sys.argv[1], int(sys.argv[2])
rnd = random.Random(seed)
COMPRESSIONS = ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]


def ints(bits, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    high = min(high, 2**63 - 1)
    return lambda: rnd.choice([low, high, 0, rnd.randint(low, high), rnd.randint(0, min(9, high))])


def doubles():
    return rnd.choice([0.0, -0.0, 1.5, 0.1, float("nan"), float("inf"), -1e300, rnd.uniform(-1e6, 1e6), struct.unpack("<d", rnd.randbytes(8))[0]])


def decimals(precision, scale):
    def one():
        digits = rnd.choice([1, precision, rnd.randint(1, precision)])
        return decimal.Decimal((rnd.randint(0, 1), tuple(rnd.randint(0, 9) for _ in range(digits)), -scale))

    return one


def texts():
    return rnd.choice(["", "a", "añ\0b", "prefix-%d" % rnd.randint(0, 99), "x" * rnd.randint(0, 300)])


def moments(unit):
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return lambda: rnd.choice([0, -1, 1, -1500, 999, rnd.randint(-4 * 10**9, 4 * 10**9) * per + rnd.randint(0, per - 1)])


def micros(value, unit):
    return {"s": value * 10**6, "ms": value * 10**3, "us": value, "ns": value // 1000}[unit]


TYPES = {  # name: (type, generator, kind, encodings beside dictionary)
    "bool": (pa.bool_(), lambda: rnd.random() < 0.5, "bool", ["PLAIN", "RLE"]),
    "float16": (pa.float16(), lambda: struct.unpack("<e", rnd.randbytes(2))[0], "double", ["PLAIN"]),
    "float32": (pa.float32(), lambda: struct.unpack("<f", struct.pack("<f", rnd.uniform(-1e6, 1e6)))[0], "double", ["PLAIN", "BYTE_STREAM_SPLIT"]),
    "float64": (pa.float64(), doubles, "double", ["PLAIN", "BYTE_STREAM_SPLIT"]),
    "string": (pa.string(), texts, "string", ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]),
    "large_string": (pa.large_string(), texts, "string", ["PLAIN", "DELTA_BYTE_ARRAY"]),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), texts, "string", ["PLAIN"]),
    "binary": (pa.binary(), lambda: rnd.randbytes(rnd.randint(0, 40)), "bytes", ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY"]),
    "fixed": (pa.binary(5), lambda: rnd.randbytes(5), "bytes", ["PLAIN", "BYTE_STREAM_SPLIT", "DELTA_BYTE_ARRAY"]),
    "uuid": (pa.uuid(), lambda: rnd.randbytes(16), "string", ["PLAIN"]),
    "date32": (pa.date32(), lambda: EPOCH + datetime.timedelta(rnd.randint(-300000, 300000)), "timestamp", ["PLAIN", "DELTA_BINARY_PACKED"]),
    "date64": (pa.date64(), lambda: EPOCH + datetime.timedelta(rnd.randint(-300000, 300000)), "timestamp", ["PLAIN"]),
    "null": (pa.null(), lambda: None, "null", ["PLAIN"]),
}
for bits in (8, 16, 32, 64):
    for signed in (True, False):
        t = getattr(pa, ("" if signed else "u") + "int%d" % bits)()
        TYPES[str(t)] = (t, ints(bits, signed), "int", ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"])
for p, s in ((1, 0), (4, 2), (9, 9), (15, 3), (18, 4), (19, 2), (30, 7), (38, 38)):
    TYPES["decimal128(%d, %d)" % (p, s)] = (pa.decimal128(p, s), decimals(p, s), "double", ["PLAIN"])
for p, s in ((39, 2), (45, 0), (57, 20), (76, 38)):
    TYPES["decimal256(%d, %d)" % (p, s)] = (pa.decimal256(p, s), decimals(p, s), "double", ["PLAIN"])
for unit in ("s", "ms", "us", "ns"):
    for zone in (None, "UTC", "America/New_York"):
        TYPES["timestamp(%s, %s)" % (unit, zone)] = (pa.timestamp(unit, zone), moments(unit), "timestamp", ["PLAIN", "DELTA_BINARY_PACKED"])
    TYPES["duration(%s)" % unit] = (pa.duration(unit), lambda: rnd.randint(-(10**9), 10**9), "duration", ["PLAIN"])


def values(t, kind, column):
    """The column's values, of times and durations by their numbers."""
    if kind == "timestamp" and pa.types.is_timestamp(t):
        numbers = column.cast(pa.timestamp(t.unit)).cast(pa.int64()).to_pylist()
        return [None if n is None else str(micros(n, t.unit)) for n in numbers]
    if kind == "duration":
        unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[t.unit]
        return [None if n is None else str(n * unit) for n in column.cast(pa.int64()).to_pylist()]
    return [text(kind, v) for v in column.to_pylist()]


def nest(columns, fields, rows, encodings, dictionary):
    """Moves some columns into structs, and some of these into structs in them. Returns each column's path."""
    paths = {f.name: [f.name] for f in fields}
    for depth, outer in enumerate(rnd.sample(["s", "with.dots", "S"], rnd.randint(0, 3))):
        inside = [i for i in range(len(fields)) if rnd.random() < 0.4]
        if not inside or (outer.lower() == "s" and any(f.name.lower() == "s" for i, f in enumerate(fields) if i not in inside)):
            continue
        mask = None if rnd.random() < 0.3 else pa.array([rnd.random() < 0.3 for _ in range(rows)], pa.bool_())
        struct = pa.StructArray.from_arrays([columns[i] for i in inside], fields=[fields[i] for i in inside], mask=mask)
        names = [fields[i].name for i in inside]
        for label, path in paths.items():
            if path[0] in names:
                was, path[:0] = ".".join(path), [outer]
                if was in encodings:
                    encodings[".".join(path)] = encodings.pop(was)
                if was in dictionary:
                    dictionary[dictionary.index(was)] = ".".join(path)
        columns[:] = [c for i, c in enumerate(columns) if i not in inside] + [struct]
        fields[:] = [f for i, f in enumerate(fields) if i not in inside] + [pa.field(outer, struct.type, nullable=mask is not None or rnd.random() < 0.5)]
    return paths


def write(path, names, rows):
    columns, fields, kinds = [], [], {}
    exact = any("ns" in n for n in names)
    layout = {"version": "2.6" if exact else rnd.choice(["1.0", "2.4", "2.6"]), "data_page_version": rnd.choice(["1.0", "2.0"]), "compression": rnd.choice(COMPRESSIONS)}
    dictionary, encodings = [], {}
    nulls = rnd.choice([0, 0.01, 0.5, 1])
    for i, name in enumerate(names):
        t, make, kind, possible = TYPES[name]
        label = "c%d" % i
        data = [None if rnd.random() < nulls else make() for _ in range(rows)]
        required = nulls == 0 and kind != "null" and rnd.random() < 0.5
        if pa.types.is_timestamp(t) or kind == "duration":
            a = pa.array(data, pa.int64()).cast(t)
        elif name == "uuid":
            a = pa.ExtensionArray.from_storage(t, pa.array(data, pa.binary(16)))
        elif name == "dictionary":
            a = pa.array(data, pa.string()).dictionary_encode()
        else:
            a = pa.array(data, t)
        columns.append(a)
        fields.append(pa.field(label, t, nullable=not required))
        kinds[label] = (kind, name)
        encoding = rnd.choice(possible)
        if rnd.random() < 0.5 and kind != "bool":
            dictionary.append(label)
        elif encoding != "RLE" or layout["data_page_version"] == "2.0":
            encodings[label] = encoding
    paths = nest(columns, fields, rows, encodings, dictionary)
    table = pa.Table.from_arrays(columns, schema=pa.schema(fields))
    int96 = rnd.random() < 0.2
    if int96:
        times = [".".join(p) for c, p in paths.items() if kinds[c][0] == "timestamp"]
        encodings = {c: e for c, e in encodings.items() if c not in times}
    pq.write_table(
        table, path, row_group_size=max(1, rnd.choice([rows, rows // 3])), data_page_size=rnd.choice([100, 5000, 1 << 20]),
        dictionary_pagesize_limit=rnd.choice([200, 1 << 20]), use_dictionary=dictionary, column_encoding=encodings or None,
        store_decimal_as_integer=rnd.random() < 0.5, use_deprecated_int96_timestamps=int96, write_page_index=rnd.random() < 0.5,
        store_schema=True, **layout)
    back = pq.read_table(path)
    for label, (kind, name) in kinds.items():
        column = back.column(paths[label][0])
        for inner in paths[label][1:]:
            column = pa.chunked_array([c.flatten()[c.type.get_field_index(inner)] for c in column.chunks], column.type.field(inner).type)
        print(json.dumps({"file": os.path.basename(path), "column": label, "path": paths[label], "kind": kind, "type": name, "layout": str(layout),
                          "values": values(column.type, kind, column)}))


names = sorted(TYPES)
for n in range(60):
    pick = [rnd.choice(names) for _ in range(rnd.randint(1, 6))]
    if n < len(names):
        pick.append(names[n])
    write(os.path.join(folder, "%03d.parquet" % n), pick, rnd.choice([0, 1, 7, 1000, 3000]))
