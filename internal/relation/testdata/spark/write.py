# Writes the files of this folder, and want.json beside them, with PySpark:
#
#     pip install pyspark==4.0.1 pyarrow==26.0.1 && python write.py FOLDER
#
# The files hold the same rows, in the two calendars that Spark writes. want.json has each
# value twice: as the file stores it, read by pyarrow, and as Spark itself reads it back.
import datetime, glob, json, os, shutil, sys, tempfile
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

folder = sys.argv[1]
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")

DAYS = ["0001-01-01", "1582-10-04", "1582-10-14", "1582-10-15", "1899-12-31", "2025-06-01"]
MOMENTS = ["0001-01-01 00:00:00", "1582-10-04 23:59:59.999999", "1582-10-15 00:00:00", "1700-03-01 12:00:00", "1899-12-31 23:59:59.999999",
           "1900-01-01 00:00:00", "2025-06-01 12:34:56.789012"]
NEW = {  # the rows of a file that has nothing before the switch
    "days": ["1582-10-15", "1969-12-31", "2025-06-01"],
    "moments": ["1900-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2025-06-01 12:34:56.789012"],
}


def rows(days, moments, nested):
    """A query of one row for each moment, with nulls where there are fewer days."""
    out = []
    for i, m in enumerate(moments):
        d = "date'%s'" % days[i] if i < len(days) else "cast(null as date)"
        inside = ", named_struct('t', timestamp'%s UTC') s" % m if nested else ""
        out.append("select %d i, %s d, timestamp'%s UTC' t%s" % (i, d, m, inside))
    return " union all ".join(out)


def stored(path, column):
    a = pq.read_table(path).column(column)
    if pa.types.is_date(a.type):
        return [None if n is None else n * 86400 * 10**6 for n in a.cast(pa.int32()).to_pylist()]
    unit = {"ms": 1000, "us": 1}[a.type.unit]
    return [None if n is None else n * unit for n in a.cast(pa.timestamp(a.type.unit)).cast(pa.int64()).to_pylist()]


def int96(path, column):
    """INT96 overflows pyarrow's nanoseconds, so it is read as microseconds."""
    a = pq.read_table(path, coerce_int96_timestamp_unit="us").column(column)
    return a.cast(pa.timestamp("us")).cast(pa.int64()).to_pylist()


def as_spark_reads(path):
    t = spark.read.parquet(path).orderBy("i").selectExpr("unix_date(d) d", "unix_micros(t) t").collect()
    return [None if r.d is None else r.d * 86400 * 10**6 for r in t], [r.t for r in t]


want = []
for mode in ("LEGACY", "CORRECTED"):
    for kind, name in (("INT96", "int96"), ("TIMESTAMP_MICROS", "micros"), ("TIMESTAMP_MILLIS", "millis")):
        for zone in ("UTC", "America/Los_Angeles"):
            for content in ("old", "new", "nested"):
                if content != "old" and (mode == "CORRECTED" or name == "millis" or zone == "UTC"):
                    continue
                for key, value in (("session.timeZone", zone), ("parquet.datetimeRebaseModeInWrite", mode), ("parquet.int96RebaseModeInWrite", mode), ("parquet.outputTimestampType", kind)):
                    spark.conf.set("spark.sql." + key, value)
                days, moments = (DAYS, MOMENTS) if content == "old" else (NEW["days"], NEW["moments"])
                if content == "nested":
                    days, moments = NEW["days"], NEW["moments"][1:]
                temp = tempfile.mkdtemp()
                df = spark.sql(rows(days, moments, content == "nested"))
                df.coalesce(1).write.mode("overwrite").parquet(temp)
                file = "%s-%s-%s-%s.parquet" % (mode.lower(), name, zone.split("/")[-1].lower(), content)
                path = os.path.join(folder, file)
                shutil.copy(glob.glob(temp + "/*.parquet")[0], path)
                d, t = as_spark_reads(path)
                want.append({"file": file, "column": "d", "stored": stored(path, "d"), "spark": d})
                want.append({"file": file, "column": "t", "stored": (int96 if name == "int96" else stored)(path, "t"), "spark": t})
with open(os.path.join(folder, "want.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(w) for w in want) + "\n]\n")
