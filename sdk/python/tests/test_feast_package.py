"""The import of Feast repositories, with the real package (make test-feast)."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import unskew
from unskew import _binary
from unskew import feast as importer

pytest.importorskip("feast", reason="make test-feast runs this")

EXAMPLE = Path(__file__).parents[3] / "examples" / "feast"

DEFINITIONS = '''
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, KafkaSource, PushSource, RequestSource, ValueType
from feast.data_format import JsonFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64, description="Who buys")
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)

orders = FileSource(name="orders of users", path="data/orders.parquet", timestamp_field="ts", created_timestamp_column="created", field_mapping={"AMOUNT": "amount"})
pairs = FileSource(path="data/pairs.parquet", timestamp_field="ts")
clicks = KafkaSource(name="clicks", kafka_bootstrap_servers="localhost:9092", topic="clicks", timestamp_field="ts", batch_source=pairs, message_format=JsonFormat("user_id integer"))

user_orders = FeatureView(
    name="user_orders", entities=[user], ttl=timedelta(hours=36), source=orders, tags={"team": "growth"}, owner="growth@example.com",
    schema=[
        Field(name="amount", dtype=Float64, description="In euros"), Field(name="n", dtype=Int32), Field(name="ratio", dtype=Float32),
        Field(name="ok", dtype=Bool), Field(name="last-at", dtype=UnixTimestamp), Field(name="embedding", dtype=Array(Float32)),
    ],
)
both = FeatureView(name="both", entities=[user, item], ttl=timedelta(0), source=clicks, schema=[Field(name="rank", dtype=Int64), Field(name="label", dtype=String)])
everyone = FeatureView(name="everyone", entities=[], ttl=timedelta(days=1), source=orders, schema=[Field(name="n", dtype=Int32)])
asked = RequestSource(name="asked", schema=[Field(name="budget", dtype=Float64)])


@on_demand_feature_view(sources=[user_orders, asked], schema=[Field(name="share", dtype=Float64)], mode="python")
def shares(inputs):
    return {"share": [a / b for a, b in zip(inputs["amount"], inputs["budget"])]}


checkout = FeatureService(
    name="checkout-v1", description="At the till", features=[user_orders[["amount", "n", "embedding"]], both.with_name("seller").with_join_key_map({"user_id": "seller_id"}), shares],
)
'''

CONFIG = """project: shop
provider: local
registry: data/registry.db
online_store: {type: sqlite, path: data/online.db}
entity_key_serialization_version: 3
"""


@pytest.fixture
def repo(tmp_path):
    import pandas as pd

    repo = tmp_path / "repo"
    (repo / "data").mkdir(parents=True)
    ts = pd.to_datetime(["2025-01-01", "2025-01-02"], utc=True)
    pd.DataFrame({
        "user_id": [1, 2], "ts": ts, "created": ts, "AMOUNT": [1.5, 2.5], "n": [1, 2], "ratio": [0.1, 0.2], "ok": [True, False], "last-at": ts,
        "embedding": [[0.5], [0.25]],
    }).to_parquet(repo / "data" / "orders.parquet")
    pd.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"], "ts": ts, "rank": [1, 2], "label": ["x", None]}).to_parquet(repo / "data" / "pairs.parquet")
    (repo / "definitions.py").write_text(DEFINITIONS)
    (repo / "feature_store.yaml").write_text(CONFIG)
    return repo


def check(text, *lines):
    for line in lines:
        assert line in text, f"{line!r} is not in\n{text}"


def check_shop(done):
    unskew.Project(done.out, progress=False).validate().raise_for_errors()
    text = {f.name: f.read_text(encoding="utf-8") for f in done.files}
    check(text["unskew.yaml"], "project: shop")
    check(text["entities.yaml"], "keys: [{name: user_id, type: int}]", "name: user_item", "keys: [{name: user_id, type: int}, {name: item_id, type: string}]")
    check(text["sources.yaml"], "name: orders_of_users", 'from: "../repo/data/orders.parquet"', "amount: {type: double, field: AMOUNT}", "known_at: created",
          "name: pairs", "stream: true", "last_at: {type: timestamp, field: last-at}", "ratio: {type: double}", '"n": {type: int}')
    check(text["views.yaml"], 'expr: latest(amount, "36h/exact")', "description: \"In euros\"", "tags: [\"team=growth\"]", "last_at: latest(last_at, ",
          "rank: latest(rank)", "label: 'latest(label != null ? [label] : []).optFlatMap(v, v.first())'")
    check(text["services.yaml"], "name: checkout_v1", "  - user_orders\n", "{view: both, as: seller, keys: {user_id: seller_id}}", "request:\n  budget: double",
          'return {"share": [a / b')
    for words in ("embedding is Array(Float32)", "KafkaSource \"clicks\"", "has no entity", "on demand feature view \"shares\"", "user_orders:embedding", "online store"):
        assert any(words in str(n) for n in done.by_hand), words
    assert any("on demand feature view \"shares\" reads" in str(n) for n in done.notes if n.kind == "added")
    for words in ("ratio is Float32 in Feast", "whole seconds", "label has nulls", "no created timestamp"):
        assert any(words in str(n) for n in done.notes if n.kind == "differs"), words


def test_a_repository_that_was_applied(repo, tmp_path):
    ran = subprocess.run([Path(sys.executable).with_name("feast"), "apply"], cwd=repo, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    check_shop(importer.convert(repo, tmp_path / "out"))


def test_a_repository_of_which_feast_runs_the_definitions(repo, tmp_path):
    with pytest.raises(unskew.UnskewError, match="--definitions"):
        importer.convert(repo, tmp_path / "out")
    (repo / "data" / "registry.db").unlink(missing_ok=True)  # Feast makes an empty one when it looks for it
    check_shop(importer.convert(repo, tmp_path / "out", definitions=True))
    assert sorted(p.name for p in (repo / "data").iterdir()) == ["orders.parquet", "pairs.parquet"]


def test_definitions_that_fail(repo, tmp_path):
    (repo / "definitions.py").write_text("raise ValueError('broken')")
    with pytest.raises(unskew.UnskewError, match=r"(?s)feast apply failed.*broken"):
        importer.convert(repo, tmp_path / "out", definitions=True)


def test_the_example(tmp_path):
    out = tmp_path / "out"
    ran = subprocess.run([sys.executable, "-m", "unskew.feast", EXAMPLE / "feast", "--out", out, "--definitions"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    check(ran.stdout, "features/views.yaml", "To do by hand:", 'on demand feature view "affordable"', f"unskew -C {out} validate")
    unskew.Project(out, progress=False).validate().raise_for_errors()
    for name in ("entities.yaml", "views.yaml"):  # the others were completed by hand
        assert (out / "features" / name).read_text(encoding="utf-8") == (EXAMPLE / "features" / name).read_text(encoding="utf-8")
    assert not list((EXAMPLE / "feast").glob("*.db"))


SERVED = '''
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Float64, Int64

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
orders = FileSource(name="orders", path="data/orders.parquet", timestamp_field="ts")
user_orders = FeatureView(
    name="user_orders", entities=[user], ttl=timedelta(0), source=orders,
    schema=[Field(name="amount", dtype=Float64), Field(name="orders", dtype=Int64), Field(name="ratio", dtype=Float32)],
)
checkout = FeatureService(name="checkout", features=[user_orders])
'''


@pytest.fixture
def served(tmp_path):
    """A repository of which Feast has materialized all but the newest rows, those of users 1 to 5, and the address of its feature server."""
    import pandas as pd

    repo = tmp_path / "repo"
    (repo / "data").mkdir(parents=True)
    now = datetime.now(timezone.utc).replace(microsecond=0)
    rows = [(u, now - timedelta(days=3), u + 0.25, u, u / 7) for u in range(1, 21)]
    rows += [(u, now - timedelta(hours=5, minutes=u), u + 0.5, u + 100, u / 4) for u in range(1, 6)]
    pd.DataFrame(rows, columns=["user_id", "ts", "amount", "orders", "ratio"]).to_parquet(repo / "data" / "orders.parquet")
    (repo / "definitions.py").write_text(SERVED)
    (repo / "feature_store.yaml").write_text(CONFIG)
    tool = str(Path(sys.executable).with_name("feast"))
    begin, end = (f"{t:%Y-%m-%dT%H:%M:%S}" for t in (now - timedelta(days=9), now - timedelta(days=1)))
    for command in (["apply"], ["materialize", begin, end]):
        ran = subprocess.run([tool, *command], cwd=repo, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(tmp_path / "serve.log", "w") as log:
        server = subprocess.Popen([tool, "serve", "--host", "127.0.0.1", "--port", str(port)], cwd=repo, stdout=log, stderr=log)
        try:
            late = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    assert server.poll() is None and time.monotonic() < late, (tmp_path / "serve.log").read_text()
                    time.sleep(0.2)
            yield repo, f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(60)


def test_a_feast_server_is_asked(served, tmp_path):
    repo, url = served
    out = importer.convert(repo, tmp_path / "out").out
    command = ["-C", str(out), "--json", "parity", "checkout", "--against"]

    def compared(*arguments):
        text, _ = _binary.run([*command, *arguments], progress=False)
        report = json.loads(text)
        return {f["name"]: (f["compared"], f["different"], f["causes"]) for f in report["features"]}, report

    got, report = compared(url, "--save", str(tmp_path / "theirs.parquet"))
    stale = (20, 5, {"lag": 5})  # the newest rows of users 1 to 5 are not materialized
    assert got["user_orders.amount"] == got["user_orders.orders"] == stale
    # Rounded to 32 bits, but for users 7 and 14, of whom it is whole; rounded and stale for the first five.
    assert got["user_orders.ratio"] == (20, 18, {"lag": 5, "precision": 13})
    assert report["rows"] == 20 and report["not_there"] == []
    again, _ = compared(str(tmp_path / "theirs.parquet"), "--time", "read_at")
    assert again == got
