"""Runs the task `latest of three columns` of this benchmark in Polars and in Feast.

Run the benchmark with -dir first, which leaves the files, then in an environment with
`pip install polars==2.1.0 'feast[duckdb]==0.67.0'`:

    bin/bench-offline -dir DIR -only latest
    python internal/dev/bench/offline/peers.py DIR [polars] [feast]

Each is one process, which reads the Parquet files of events and spine and writes a Parquet file with
zstd. Printed are wall time, processor time and peak memory of the process. The rows must be those of
DuckDB's ASOF join, which the benchmark has left in the folder and compared with this program's.
Feast takes about a gigabyte for a million events.
"""

import glob
import os
import resource
import subprocess
import sys
import tempfile
import time


def files(folder):
    """The files of the task that the benchmark has left in the folder."""
    spines = glob.glob(os.path.join(folder, "usual-*-spine.parquet"))
    if len(spines) != 1:
        sys.exit(f"{folder} has {len(spines)} spines of the task; run bench-offline -dir {folder} -only latest")
    return spines[0], spines[0].replace("-spine.parquet", "-events-*.parquet")


def run_polars(spine, events, out):
    """An event counts if it is before the row, not at its time."""
    import polars as pl

    history = pl.scan_parquet(events).sort("ts")
    rows = pl.scan_parquet(spine).sort("ts")
    joined = rows.join_asof(history, on="ts", by="key", strategy="backward", allow_exact_matches=False, check_sortedness=False)
    joined.sink_parquet(out, compression="zstd")


def run_feast(spine, events, out):
    """Feast joins events up to the time of the row; the data has none exactly at it."""
    from datetime import timedelta

    import pandas as pd
    import pyarrow.parquet as pq
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.infra.offline_stores.duckdb import DuckDBOfflineStoreConfig
    from feast.types import Float64, Int64, String

    with tempfile.TemporaryDirectory() as repo:
        config = RepoConfig(
            project="bench",
            provider="local",
            registry=os.path.join(repo, "registry.db"),
            offline_store=DuckDBOfflineStoreConfig(),
            online_store=None,
            entity_key_serialization_version=3,
        )
        store = FeatureStore(config=config)
        key = Entity(name="key", join_keys=["key"], value_type=ValueType.INT64)
        view = FeatureView(
            name="v0",
            entities=[key],
            ttl=timedelta(days=365),
            schema=[Field(name="amount", dtype=Float64), Field(name="quantity", dtype=Int64), Field(name="kind", dtype=String)],
            source=FileSource(name="events", path=events, timestamp_field="ts"),
            online=False,
        )
        store.apply([key, view])
        rows = pd.read_parquet(spine).rename(columns={"ts": "event_timestamp"})
        rows["event_timestamp"] = rows["event_timestamp"].dt.tz_localize("UTC")
        job = store.get_historical_features(rows, ["v0:amount", "v0:quantity", "v0:kind"])
        pq.write_table(job.to_arrow(), out, compression="zstd")


PEERS = {"polars": run_polars, "feast": run_feast}


def main(args):
    if args[1:2] == ["run"]:
        PEERS[args[2]](*args[3:])
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1 << 20))
        return
    if len(args) < 2 or not set(args[2:]) <= set(PEERS):
        sys.exit(__doc__)
    spine, events = files(args[1])
    import duckdb

    want = f"SELECT row, amount, quantity, kind FROM '{os.path.join(args[1], 'theirs.parquet')}'"
    for name in args[2:] or PEERS:
        out = os.path.join(args[1], name + ".parquet")
        begun = time.monotonic()
        done = subprocess.run([sys.executable, __file__, "run", name, spine, events, out], capture_output=True, text=True)
        wall = time.monotonic() - begun
        if done.returncode != 0:
            sys.exit(f"{name}: {done.stderr}")
        cpu, peak = done.stdout.split("\n")[-2].split()
        print(f"{name:8} {wall:7.2f} s {float(cpu):7.2f} s {float(peak):5.2f} GiB")
        got = f"SELECT row, amount, quantity, kind FROM '{out}'"
        rows = duckdb.sql(f"SELECT count(*) FROM ({got})").fetchall()
        if rows != duckdb.sql(f"SELECT count(*) FROM ({want})").fetchall() or duckdb.sql(f"({want} EXCEPT {got}) UNION ALL ({got} EXCEPT {want})").fetchall():
            sys.exit(f"the rows of {name} are others")
        print(f"{rows[0][0]:,} rows, equal to those of DuckDB")


if __name__ == "__main__":
    main(sys.argv)
