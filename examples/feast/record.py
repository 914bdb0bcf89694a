"""Records what a Feast store serves, with the faults that such setups have: README.md describes them.

    python -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python record.py

It makes a history (data/*.parquet) and lets a real Feast store live through nine days of it: rows arrive when their files say, are
pushed or materialized, and read. The times are those of the history, not of the clock. The outputs are served.parquet, what the
online store answered; trained.parquet, what get_historical_features gave; and faults.parquet, which of these values are wrong and
why, by the plain rule in `expected` below.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path

os.environ.setdefault("FEAST_USAGE", "False")
warnings.filterwarnings("ignore")

import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

HERE = Path(__file__).parent
START = datetime(2025, 3, 1, tzinfo=timezone.utc)
DAYS = 9
FIRST_READ = START + timedelta(days=2)
TTL = {"daily": timedelta(days=3), "changes": timedelta(days=2)}
TIMES = {"daily": ("day", "loaded_at"), "changes": ("changed_at", "received_at")}
DAILY = ["orders_7d", "return_share", "rating"]
OFFER = ["price", "stock", "last_order_at"]

# Which sellers have which fault.
PROMPT = range(1, 51)  # none: what changes is materialized before it is read
CHANGING = range(51, 61)  # stale: changes at any time, and is materialized twice a day
SLOW = range(61, 71)  # skipped, early: the nightly row arrives in the afternoon
QUIET = range(71, 79)  # expired: does not change after the fourth day
CORRECTED = range(79, 87)  # tied: a second row of the same time replaces the first
NEW = range(87, 95)  # filled: has no nightly rows before the sixth day
PUSHED = range(95, 101)  # reordered: changes are pushed, sometimes an older one after a newer one


def hours(n: float) -> timedelta:
    return timedelta(hours=n)


def history(rng: random.Random) -> dict[str, pd.DataFrame]:
    daily, changes = [], []
    for seller in range(1, 101):
        for day in range(DAYS):
            midnight = START + timedelta(days=day)
            if seller in NEW and day < 5:
                continue
            loaded = midnight + (hours(rng.uniform(12, 20)) if seller in SLOW else hours(rng.uniform(2, 2.5)))
            daily.append((seller, midnight, loaded, rng.randint(1, 400), rng.random(), round(rng.uniform(1, 5), 2)))
        changes += offers(rng, seller)
    rng.shuffle(daily)
    return {
        "daily": frame(daily, ["seller_id", "day", "loaded_at", *DAILY]),
        "changes": frame(changes, ["seller_id", "changed_at", "received_at", *OFFER]),
    }


def offers(rng: random.Random, seller: int) -> list[tuple]:
    rows = []

    def change(at: datetime, delay: float = 3) -> None:
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        ordered = at - timedelta(seconds=rng.randint(60, 90000), milliseconds=rng.randint(1, 999))
        rows.append((seller, at, at + timedelta(seconds=delay), rng.randint(100, 20000) / 100, rng.randint(0, 500), ordered))

    for day in range(4 if seller in QUIET else DAYS):
        midnight = START + timedelta(days=day)
        for base in (2, 14):  # the hour before each materialization
            change(midnight + hours(base + rng.uniform(0, 0.9)))
            if seller in CORRECTED:
                seller_id, at, received, price, stock, ordered = rows[-1]
                rows.append((seller_id, at, received + timedelta(seconds=90), round(price * rng.choice([0.5, 2]), 2), stock + rng.choice([-1, 1]) * 7, ordered))
        if seller in CHANGING:
            for _ in range(3):
                change(midnight + hours(rng.uniform(3.2, 23.8)))
        if seller in PUSHED:
            for base in (4, 9, 17, 20):
                change(midnight + hours(base + rng.uniform(0, 1)))
                if rng.random() < 0.5:  # an older one that comes after it
                    change(rows[-1][1] - hours(rng.uniform(0.1, 0.9)), delay=4500)
    return rows


def frame(rows: list[tuple], names: list[str]) -> pd.DataFrame:
    out = pd.DataFrame(rows, columns=names)
    for name in names:
        if isinstance(rows[0][names.index(name)], datetime):
            out[name] = out[name].astype("datetime64[us, UTC]")
    return out


def expected(rows: pd.DataFrame, source: str, seller: int, at: datetime) -> dict | None:
    """The plain rule: of the rows that had arrived before `at`, and are no older than the ttl, the newest; of equal ones that which came last."""
    time, arrival = TIMES[source]
    known = rows[(rows.seller_id == seller) & (rows[time] < at) & (rows[arrival] < at) & (rows[time] >= at - TTL[source])]
    return None if known.empty else known.sort_values([time, arrival]).iloc[-1].to_dict()


def write(table: pd.DataFrame, path: Path, **types: pa.DataType) -> None:
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    for name, kind in types.items():
        arrow = arrow.set_column(arrow.column_names.index(name), name, arrow[name].cast(kind))
    pq.write_table(arrow.replace_schema_metadata(None), path, compression="zstd")


def reads(rng: random.Random) -> list[dict]:
    rows = []
    while len(rows) < 2400:
        at = FIRST_READ + timedelta(seconds=rng.randint(0, int((DAYS - 2) * 86400)), milliseconds=rng.randint(0, 999))
        if at.hour in (2, 14) or (at.hour in (3, 15) and at.minute < 5):
            continue  # while what changed is on its way
        rows.append({"seller_id": rng.randint(1, 100), "budget": rng.randint(1000, 20000) / 100, "read_at": at})
    return sorted(rows, key=lambda r: r["read_at"])


class Shop:
    """A Feast store over the history as it was at a time."""

    def __init__(self, folder: Path, tables: dict[str, pd.DataFrame]) -> None:
        from feast import FeatureStore

        self.tables, self.data = tables, folder / "data"
        self.data.mkdir()
        shutil.copytree(HERE / "feast", folder / "feast", ignore=shutil.ignore_patterns("*.db", "__pycache__"))
        self.arrived(START + timedelta(days=1))
        subprocess.run([Path(sys.executable).with_name("feast"), "apply"], cwd=folder / "feast", check=True)
        self.store = FeatureStore(repo_path=str(folder / "feast"))
        self.service = self.store.get_feature_service("rank_v1")

    def arrived(self, at: datetime) -> None:
        for name, table in self.tables.items():
            write(table[table[TIMES[name][1]] <= at], self.data / f"{name}.parquet")

    def materialize(self, at: datetime, first: bool) -> None:
        self.arrived(at)
        if first:
            self.store.materialize(START - timedelta(days=1), at)
        else:
            self.store.materialize_incremental(at)

    def push(self, row: dict) -> None:
        self.store.push("offer_changes", pd.DataFrame([row]))

    def read(self, rows: list[dict]) -> list[dict]:
        keys = [{k: r[k] for k in ("seller_id", "budget")} for r in rows]
        got = self.store.get_online_features(self.service, keys, full_feature_names=True).to_dict()
        return [{"read_at": r["read_at"], "budget": r["budget"], **{name: values[i] for name, values in sorted(got.items())}} for i, r in enumerate(rows)]


def serve(shop: Shop, asked: list[dict]) -> pd.DataFrame:
    """Lives through the days: what happens is done in the order of its time."""
    events = [(START + timedelta(days=d) + hours(h), 0, "materialize", None) for d in range(1, DAYS) for h in (3, 15)]
    pushed = shop.tables["changes"][lambda t: t.seller_id.isin(PUSHED) & (t.received_at >= START + timedelta(days=1, hours=3))]
    events += [(r["received_at"].to_pydatetime(), 1, "push", r) for r in pushed.to_dict("records")]
    events += [(r["read_at"], 2, "read", r) for r in asked]
    events.sort(key=lambda e: e[:2])
    answers, waiting, first = [], [], True
    for at, _, kind, row in [*events, (None, 0, "end", None)]:
        if kind == "read":
            waiting.append(row)
            continue
        if waiting:
            answers += shop.read(waiting)
            waiting = []
        if kind == "materialize":
            shop.materialize(at, first)
            first = False
        elif kind == "push":
            shop.push(row)
    served = pd.DataFrame(answers)
    # What this team's service does with what the store does not have: it fills in zeros.
    served["seller_daily__orders_7d"] = served["seller_daily__orders_7d"].fillna(0)
    served["seller_daily__return_share"] = served["seller_daily__return_share"].fillna(0.0)
    return served


def train(shop: Shop, rng: random.Random) -> pd.DataFrame:
    changes = shop.tables["changes"]
    rows = [
        {"seller_id": rng.randint(1, 100), "event_timestamp": FIRST_READ + timedelta(seconds=rng.randint(0, int((DAYS - 2) * 86400)))} for _ in range(600)
    ]
    # As a spine that is made from the table itself: asked at the moment of a change.
    own = changes[changes.changed_at >= FIRST_READ].sample(60, random_state=1)
    rows += [{"seller_id": int(r.seller_id), "event_timestamp": r.changed_at.to_pydatetime()} for r in own.itertuples()]
    spine = pd.DataFrame(rows).drop_duplicates()
    spine["budget"] = [rng.randint(1000, 20000) / 100 for _ in range(len(spine))]
    spine["clicked"] = [rng.random() < 0.3 for _ in range(len(spine))]
    shop.arrived(START + timedelta(days=DAYS + 1))
    got = shop.store.get_historical_features(spine, shop.service, full_feature_names=True).to_df()
    print(f"trained: {len(spine)} rows asked for, {len(got)} returned")
    return got.sort_values(["event_timestamp", "seller_id"], ignore_index=True)


def faults(file: str, table: pd.DataFrame, time: str, tables: dict[str, pd.DataFrame]) -> list[dict]:
    """Where a table has other values than the plain rule, by the design of the history."""
    found = []
    groups = {s: name for name, group in (("stale", CHANGING), ("skipped", SLOW), ("expired", QUIET), ("filled", NEW), ("reordered", PUSHED)) for s in group}
    for i, row in enumerate(table.to_dict("records")):
        at, seller = row[time].to_pydatetime(), row["seller_id"]
        for source, view, features in (("daily", "seller_daily", DAILY), ("changes", "offer", OFFER)):
            truth = expected(tables[source], source, seller, at) or {}
            for f in features:
                want, got = truth.get(f), row[f"{view}__{f}"]
                if same(want, got):
                    continue
                fault = rounding(want, got)
                if fault is None and file == "trained":
                    own = at in set(tables[source][tables[source].seller_id == seller][TIMES[source][0]])
                    fault = "itself" if own else "tied" if seller in CORRECTED and source == "changes" else "early"
                found.append({"file": file, "row": i, "seller_id": seller, "feature": f"{view}.{f}", "fault": fault or groups.get(seller, "?")})
    return found


def same(want: object, got: object) -> bool:
    if pd.isna(want) or pd.isna(got):
        return bool(pd.isna(want) and pd.isna(got))
    return want == got


def rounding(want: object, got: object) -> str | None:
    """The store keeps a Float32 and whole seconds."""
    import numpy as np

    if pd.isna(want) or pd.isna(got):
        return None
    if isinstance(want, float) and float(np.float32(want)) == got:
        return "rounded"
    if isinstance(want, pd.Timestamp) and want.floor("s") == got:
        return "rounded"
    return None


def main() -> None:
    rng = random.Random(11)
    tables = history(rng)
    asked = reads(rng)
    (HERE / "data").mkdir(exist_ok=True)
    for name, table in tables.items():
        write(table, HERE / "data" / f"{name}.parquet")
    with tempfile.TemporaryDirectory(prefix="record-feast-") as folder:
        shop = Shop(Path(folder), tables)
        served = serve(shop, asked)
        trained = train(shop, rng)
    for table in served, trained:
        for name in table.select_dtypes("datetimetz"):
            table[name] = table[name].astype("datetime64[us, UTC]")
    write(served, HERE / "served.parquet")
    write(trained, HERE / "trained.parquet")
    wrong = pd.DataFrame(faults("served", served, "read_at", tables) + faults("trained", trained, "event_timestamp", tables))
    write(wrong, HERE / "faults.parquet")
    print(wrong.groupby(["file", "feature", "fault"]).size().to_string())


if __name__ == "__main__":
    main()
