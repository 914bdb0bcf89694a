# pages.py write FOLDER SEED: writes a Parquet file of one column for each type, encoding, page
# version and compression, and prints a line of JSON for each: its name and the column's kind.
# pages.py read FOLDER: reads files whose names are lines of standard input and prints, a line
# of JSON for each, their values as texts, or null if pyarrow refuses the file.
import itertools, json, os, random, struct, sys
import pyarrow as pa
import pyarrow.parquet as pq

command, folder = sys.argv[1], sys.argv[2]

TYPES = {  # name: (type, generator, kind, encodings)
    "bool": (pa.bool_(), lambda r: r.random() < 0.5, "bool", ["PLAIN", "RLE"]),
    "int32": (pa.int32(), lambda r: r.randint(-99, 99), "int", ["PLAIN", "DICTIONARY", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"]),
    "int64": (pa.int64(), lambda r: r.randint(-(2**50), 2**50), "int", ["PLAIN", "DICTIONARY", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"]),
    "int96": (pa.timestamp("ns"), lambda r: r.randint(0, 10**18), "timestamp", ["PLAIN", "DICTIONARY"]),
    "float": (pa.float32(), lambda r: struct.unpack("<f", struct.pack("<f", r.uniform(-9, 9)))[0], "double", ["PLAIN", "DICTIONARY", "BYTE_STREAM_SPLIT"]),
    "double": (pa.float64(), lambda r: r.uniform(-9, 9), "double", ["PLAIN", "DICTIONARY", "BYTE_STREAM_SPLIT"]),
    "text": (pa.string(), lambda r: "t%d" % r.randint(0, 500), "string", ["PLAIN", "DICTIONARY", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]),
    "fixed": (pa.binary(5), lambda r: r.randbytes(5), "bytes", ["PLAIN", "DICTIONARY", "BYTE_STREAM_SPLIT", "DELTA_BYTE_ARRAY"]),
    "list": (pa.list_(pa.int64()), lambda r: [r.choice([None, r.randint(0, 9)]) for _ in range(r.randint(0, 3))], "nested", ["PLAIN", "DICTIONARY", "DELTA_BINARY_PACKED"]),
    "texts": (pa.list_(pa.string()), lambda r: ["t%d" % r.randint(0, 99) for _ in range(r.randint(0, 3))], "nested", ["PLAIN", "DICTIONARY", "DELTA_BYTE_ARRAY"]),
    "struct": (pa.struct([pa.field("x", pa.int64(), nullable=False)]), lambda r: {"x": r.randint(0, 9)}, "nested", ["PLAIN", "DICTIONARY", "DELTA_BINARY_PACKED"]),
    "decimal": (pa.binary(16), lambda r: r.randbytes(16), "bytes", ["PLAIN", "DELTA_BYTE_ARRAY"]),
}


PATHS = {"list": "c.list.element", "texts": "c.list.element", "struct": "c.x"}


def write(seed):
    rnd = random.Random(seed)
    versions, compressions, nullable = ["1.0", "2.0"], ["none", "snappy", "gzip", "zstd", "brotli", "lz4"], [False, True]
    for name, (t, make, kind, encodings) in TYPES.items():
        for encoding, version, nulls in itertools.product(encodings, versions, nullable):
            if encoding == "RLE" and version == "1.0":
                continue
            for compression in ["none", "lz4" if kind == "nested" else rnd.choice(compressions[1:])]:
                rows = rnd.choice([5, 64, 700])
                data = [None if nulls and rnd.random() < 0.3 else make(rnd) for _ in range(rows)]
                array = pa.array(data, pa.int64()).cast(t) if name == "int96" else pa.array(data, t)
                table = pa.Table.from_arrays([array], schema=pa.schema([pa.field("c", t, nullable=nulls)]))
                file = "%s-%s-%s-%s-%s.parquet" % (name, encoding.lower(), version, compression, "nulls" if nulls else "full")
                dictionary = encoding == "DICTIONARY"
                pq.write_table(table, os.path.join(folder, file), compression=compression, data_page_version=version, data_page_size=rnd.choice([300, 1 << 20]),
                               use_dictionary=dictionary, column_encoding=None if dictionary or name == "int96" else {PATHS.get(name, "c"): encoding},
                               use_deprecated_int96_timestamps=name == "int96", write_statistics=False)
                print(json.dumps({"file": file, "kind": kind}))


def read(file):
    kind = TYPES[file.split("-")[0]][2]
    try:
        column = pq.ParquetFile(os.path.join(folder, file)).read().column("c")
    except (OSError, pa.ArrowException):
        return None
    if kind == "timestamp":
        return [None if n is None else str(n // 1000) for n in column.cast(pa.int64()).to_pylist()]
    return [text(kind, v) for v in column.to_pylist()]


if command == "write":
    write(int(sys.argv[3]))
else:
    for line in sys.stdin:
        file = line.strip()
        print(json.dumps({"file": file, "values": read(file)}))
