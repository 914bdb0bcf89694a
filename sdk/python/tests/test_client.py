import datetime as dt
import json
import socketserver
import threading

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import unskew
from unskew import _binary


def test_services_are_listed_and_described(client):
    (listed,) = client.list_services()
    service = client.describe("return_risk")
    assert listed.name == "return_risk" and listed.fingerprint == service.fingerprint
    assert service.keys == {"customer_id": "int"} and service.request == {"amount": "double"}
    assert service.features["amount_ratio"] == "double"


def test_features_of_rows(client):
    got = client.get_online_features("return_risk", [{"customer_id": 3, "amount": 20.0}, {"customer_id": -1, "amount": 7.5}])
    assert len(got) == 2 and abs(got.as_of - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(minutes=5)
    assert got.to_pylist()[1]["customer_orders.last_country"] == "??"
    assert got.statuses.column("customer_orders.mean_order_30d").to_pylist() == ["EMPTY", "UNKNOWN_ENTITY"]
    assert got.reasons.column("customer_orders.last_country").to_pylist() == ["EMPTY", "UNKNOWN_ENTITY"]
    assert got.to_arrow(entities=True).column_names[:2] == ["customer_id", "amount"]
    assert got.to_pandas().shape == got.to_polars().shape == (2, 7)


def test_frames_are_the_same_request(client):
    rows = [{"customer_id": 3, "amount": 20.0}, {"customer_id": 4, "amount": 7.5}]
    want = client.get_online_features("return_risk", rows).to_pylist()
    for frame in (pd.DataFrame(rows), pl.DataFrame(rows), pa.Table.from_pylist(rows), {"customer_id": [3, 4], "amount": [20.0, 7.5]}):
        assert client.get_online_features("return_risk", frame).to_pylist() == want


def test_only_exact_conversions(client):
    one = client.get_online_features("return_risk", {"customer_id": [3.0], "amount": [20]})
    assert one.statuses.column("amount_ratio").to_pylist() == ["PRESENT"]
    with pytest.raises(unskew.InvalidArgument, match='"customer_id" is declared as int'):
        client.get_online_features("return_risk", {"customer_id": [3.5], "amount": [20.0]})
    with pytest.raises(unskew.InvalidArgument, match="declared as int but holds strings"):
        client.get_online_features("return_risk", {"customer_id": ["3"], "amount": [20.0]})
    nobody = client.get_online_features("return_risk", {"customer_id": [None], "amount": [20.0]})
    assert nobody.statuses.column("customer_orders.mean_order_30d").to_pylist() == ["UNKNOWN_ENTITY"]


def test_how_stale_an_answer_may_be(client):
    asked = {"customer_id": [3], "amount": [20.0]}
    got = client.get_online_features("return_risk", asked, max_staleness=dt.timedelta(minutes=1))
    assert got.staleness is not None and dt.timedelta(0) <= got.staleness < dt.timedelta(minutes=1)
    view = got.freshness["customer_orders"]
    assert view.generation >= 1 and view.complete is not None and abs(view.complete - got.as_of) < dt.timedelta(minutes=1)
    got = client.get_online_features("return_risk", asked, max_staleness=60, on_stale="status", features=["amount_ratio"])
    assert got.statuses.column("amount_ratio").to_pylist() == ["PRESENT"]
    with pytest.raises(unskew.InvalidArgument, match="must be positive"):
        client.get_online_features("return_risk", asked, max_staleness=0)
    with pytest.raises(unskew.InvalidArgument, match="on_stale is 'no'"):
        client.get_online_features("return_risk", asked, on_stale="no")


def test_mistakes_name_what_the_service_takes(client):
    with pytest.raises(unskew.InvalidArgument, match=r'has no column "amount" and has "amout".*customer_id \(int\), amount \(double\)'):
        client.get_online_features("return_risk", {"customer_id": [3], "amout": [20.0]})
    with pytest.raises(unskew.NotFound, match="return_riks"):
        client.get_online_features("return_riks", {"customer_id": [3]})
    with pytest.raises(unskew.FailedPrecondition):
        client.get_online_features("return_risk", {"customer_id": [3], "amount": [20.0]}, fingerprint="0" * 12)


def test_the_version_a_model_was_trained_on(client, project):
    ts = project.training_set
    assert callable(ts)
    fingerprint = client.describe("return_risk").fingerprint
    got = client.get_online_features("return_risk", {"customer_id": [3], "amount": [20.0]}, fingerprint=fingerprint[:12], features=["amount_ratio"])
    assert got.fingerprint == fingerprint and got.to_arrow().column_names == ["amount_ratio"]


def test_what_is_pushed_is_served(client):
    now = dt.datetime.now(dt.timezone.utc)
    order = {"order_id": "new", "customer_id": 990, "ordered_at": now - dt.timedelta(seconds=1), "amount": 12.5, "country": "FR", "returned": None}
    assert client.push("orders", [order, order]).counts == {"APPENDED": 1, "DUPLICATE": 1}
    asked = {"customer_id": [990], "amount": [25.0]}
    for _ in range(10_000):
        if client.get_online_features("return_risk", asked).to_pylist()[0]["customer_orders.orders_30d"]:
            break
    row = client.get_online_features("return_risk", asked).to_pylist()[0]
    assert row["customer_orders.orders_30d"] == 1 and row["amount_ratio"] == 2.0
    wrong = client.push("orders", [{**order, "order_id": "far", "ordered_at": now + dt.timedelta(days=30)}])
    assert wrong[0].outcome is unskew.Outcome.REJECTED and wrong[0].message


def test_pushes_are_cut_into_calls(client):
    now = pa.scalar(dt.datetime.now(dt.timezone.utc), pa.timestamp("us", tz="UTC"))
    rows = pa.table({"order_id": [f"o{i}" for i in range(25)], "customer_id": list(range(25)), "ordered_at": pa.repeat(now, 25)})
    result = client.push("orders", rows, batch_size=10)
    assert len(result) == 25 and result.counts == {"APPENDED": 25} and "APPENDED: 25" in repr(result)


def test_callers_have_tokens(project, tmp_path):
    project.materialize()
    reader, stranger = (json.loads(_binary.run(["token", "shop", "--json"], progress=False)[0]) for _ in range(2))
    (tmp_path / "callers.yaml").write_text(f'callers: [{{name: shop, roles: [read], tokens: ["{reader["sha256"]}"]}}]')
    serve = ["-C", str(project.path), "serve", "--listen", "127.0.0.1:0", "--callers", str(tmp_path / "callers.yaml")]
    with _binary.serving(serve) as url:
        with unskew.Client(url, token=reader["token"]) as client:
            assert len(client.get_online_features("return_risk", [{"customer_id": 3, "amount": 20.0}])) == 1
            with pytest.raises(unskew.PermissionDenied, match="needs the role push"):
                client.push("orders", [{"order_id": "o1", "customer_id": 3, "ordered_at": dt.datetime.now(dt.timezone.utc), "amount": 1.0}])
        for token in (None, stranger["token"]):
            with unskew.Client(url, token=token) as client, pytest.raises(unskew.Unauthenticated):
                client.list_services()


def test_a_server_that_is_not_there():
    with unskew.Client("http://127.0.0.1:9", timeout=5) as client, pytest.raises(unskew.Unavailable, match="is not available: .*refused"):
        client.list_services()
    with unskew.Client("http://[::1]", timeout=5) as client, pytest.raises(unskew.Unavailable, match=":80: .*refused"):
        client.list_services()
    for url, wrong in {"127.0.0.1:7171": "is not a URL", "http://h:99999": "Port out of range", "http://h:1/feast": "more than a host and a port"}.items():
        with pytest.raises(unskew.UnskewError, match=wrong):
            unskew.Client(url)
    with pytest.raises(unskew.UnskewError, match="without TLS"):
        unskew.Client("http://192.0.2.1:7171", token="secret")
    for token in ("secret\n", "sec ret", "sécret"):
        with pytest.raises(unskew.UnskewError, match="that no token has"):
            unskew.Client("http://127.0.0.1:7171", token=token)


def test_a_value_is_explained_as_the_engine_does(client, project):
    asked = {"feature": "customer_orders.orders_30d", "key": {"customer_id": 4}, "at": dt.datetime(2025, 2, 1), "events": 100}
    e = client.explain(**asked)
    assert e == project.explain(**asked) == client.explain(**{**asked, "at": "2025-02-01T00:00:00Z"})
    assert e.total == len(e.events) == len(e.to_pandas()) > 0 and e.training.status == "PRESENT" and e.note
    assert repr(e) == f"Explanation(customer_orders.orders_30d of customer_id=4 as of 2025-02-01T00:00:00Z: {e.training.value} (PRESENT))"
    assert all(event["time"] in e.text() for event in e.events)
    live = client.explain("customer_orders.orders_30d", {"customer_id": 4}, events=1)
    assert live.served == live.replayed == live.training and len(live.events) == 1
    assert f"and {live.total - 1:,} more" in live.text()
    with pytest.raises(unskew.NotFound, match='did you mean "customer_orders"'):
        client.explain("customer_order.orders_30d", {"customer_id": 4})
    with pytest.raises(unskew.InvalidArgument, match="key customer_id: "):
        client.explain("customer_orders.orders_30d", {"customer_id": "four"})
    with pytest.raises(unskew.NotFound, match="no row 0 of a request r-1"):
        client.explain("customer_orders.orders_30d", request="r-1")


def test_a_server_that_speaks_tls_is_named():
    said = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"  # what a server with TLS answers to anything else

    class Answer(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)
            self.request.sendall(said)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        with unskew.Client(f"http://127.0.0.1:{port}", timeout=10) as client, pytest.raises(unskew.Unavailable, match=f"speaks TLS: use https://127.0.0.1:{port}$"):
            client.list_services()
        server.shutdown()
