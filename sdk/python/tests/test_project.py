import datetime as dt
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import unskew

SPINE = {
    "customer_id": [3, 4],
    "amount": [20.0, 7.5],
    "asked_at": pa.array([1740823200_000000, 1740823200_000000], pa.timestamp("us", tz="UTC")),
}


def build(project, spine, **more):
    return project.training_set(service="return_risk", spine=spine, time="asked_at", **more)


def test_a_training_set_of_the_project(project):
    ts = project.training_set("returns")
    assert ts.parts == ["data"] and ts.label == "returned" and ts.service == "return_risk"
    table = ts.to_arrow()
    assert table.schema.metadata[b"unskew.service_fingerprint"].decode() == ts.fingerprint
    assert len(table) == 236 and set(ts.features) < set(table.column_names)
    assert ts.to_pandas().shape == ts.to_polars().shape == (236, table.num_columns)
    assert ts.report["rows"] == 236 and [f["name"] for f in ts.report["features"]] == ts.features and ts.report["alarms"] == []
    assert ts.report_html.read_text().startswith("<!DOCTYPE html>") and "<iframe" in ts._repr_html_()
    assert ts.manifest["service_fingerprint"] == ts.fingerprint and ts.fingerprint[:12] in repr(ts)


def test_mistakes_in_a_spine_are_those_of_the_frame(project):
    wrong = {
        "misspelt": ({"spine": {**SPINE, "custmer_id": [3, 4]}, "time": "askd_at"}, 'the frame has no column "askd_at"'),
        "type": ({"spine": {**SPINE, "customer_id": ["a", "b"]}}, 'but the frame holds STRING'),
        "null": ({"spine": {**SPINE, "asked_at": pa.nulls(2, pa.timestamp("us", tz="UTC"))}}, 'row 1 of the frame, column "asked_at"'),
        "mixed": ({"spine": pd.DataFrame({"x": [1, "a"]})}, "spine: Could not convert 'a'"),
        "time": ({"spine": SPINE, "time": None}, "needs spine, the rows to predict, and time"),
        "both": ({"spine": SPINE, "name": "returns"}, "not both"),
    }
    for arguments, said in wrong.values():
        with pytest.raises(unskew.UnskewError) as raised:
            project.training_set(**{"service": "return_risk", "time": "asked_at", **arguments})
        assert said in str(raised.value) and "/" not in str(raised.value), str(raised.value)


def test_the_directory_is_temporary_unless_out_names_it(project, tmp_path):
    ts = project.training_set("returns")
    path = ts.path
    assert path.exists()
    del ts
    assert not path.exists()
    kept = project.training_set("returns", out=tmp_path / "kept")
    del kept
    assert unskew.TrainingSet(tmp_path / "kept").to_arrow().num_rows == 236


def test_folds_and_a_holdout(project):
    definitions = project.path / "features" / "customer.yaml"
    text = definitions.read_text()
    spine = next(line for line in text.splitlines() if line.startswith("spine:"))
    definitions.write_text(text.replace(spine, spine + "\nsplit: {folds: 3, embargo: 1d, holdout: {entity: customer, fraction: 0.2}}"))
    ts = project.training_set("returns")
    assert [f.number for f in ts.folds] == [1, 2, 3] and ts.parts[-1] == "holdout"
    held = set(ts.to_arrow("holdout")["customer_id"].to_pylist())
    rows = 0
    for fold in ts.folds:
        train, validation = fold.to_arrow()
        assert len(train) > rows and len(validation) > 0
        rows = len(train)
        start = dt.datetime.fromisoformat(fold.start)
        assert all(t < start for t in train["asked_at"].to_pylist())
        assert all(t >= start + dt.timedelta(days=1) for t in validation["asked_at"].to_pylist())
        assert not held & set(train["customer_id"].to_pylist() + validation["customer_id"].to_pylist())
        assert fold.to_pandas()[0].shape == fold.to_polars()[0].shape == train.shape
        assert f"train: {rows:,}" in repr(fold)
    assert held


def test_every_kind_of_frame_is_the_same_spine(project, tmp_path):
    table = pa.table(SPINE)
    rows = [{"customer_id": c, "amount": a, "asked_at": dt.datetime.fromtimestamp(1740823200, dt.timezone.utc)} for c, a in ((3, 20.0), (4, 7.5))]
    want = build(project, table).to_arrow().to_pylist()
    assert len(want) == 2 and want[0]["customer_orders.orders_30d"] > 0
    import pyarrow.parquet as pq

    pq.write_table(table, tmp_path / "spine.parquet")
    for spine in (table.to_batches()[0], table.to_pandas(), pl.from_arrow(table), SPINE, rows, tmp_path / "spine.parquet"):
        assert build(project, spine).to_arrow().to_pylist() == want


def test_zones_keep_the_instant_and_naive_times_warn(project):
    table = pa.table(SPINE)
    want = build(project, table).to_arrow().drop_columns(["asked_at"])
    there = table.to_pandas()
    there["asked_at"] = there["asked_at"].dt.tz_convert("Asia/Tokyo")
    assert build(project, there).to_arrow().drop_columns(["asked_at"]) == want
    naive = table.to_pandas()
    naive["asked_at"] = naive["asked_at"].dt.tz_localize(None)
    with pytest.warns(unskew.NaiveTimeWarning, match='"asked_at" have no zone and are taken as UTC') as warned:
        assert build(project, naive).to_arrow().drop_columns(["asked_at"]) == want
    assert [w.filename for w in warned if w.category is unskew.NaiveTimeWarning] == [__file__]  # the warning points at the code that called the package


def test_nanoseconds_before_1970_are_floored():
    from unskew.frames import micros

    column = pa.chunked_array([pa.array([-1500, -1000, -1, 0, 1, 1500], pa.timestamp("ns"))])
    assert micros(column).to_pylist() == [-2, -1, -1, 0, 0, 1]
    assert micros(pa.chunked_array([pa.array([-2], pa.timestamp("s", tz="Europe/Berlin"))])).to_pylist() == [-2_000_000]


def test_statuses_on_request(project):
    ts = project.training_set("returns", with_status=True)
    statuses = set(ts.to_arrow().column("customer_orders.mean_order_30d.status").to_pylist())
    assert statuses <= {"PRESENT", "EMPTY", "UNKNOWN_ENTITY"} and "PRESENT" in statuses


def test_parts_are_named(project):
    ts = project.training_set("returns")
    with pytest.raises(unskew.UnskewError, match="has no part 'train'; it has data"):
        ts.to_arrow("train")


def test_mistakes_in_definitions_are_findings(project):
    assert project.validate().ok
    file = project.path / "features" / "customer.yaml"
    file.write_text(file.read_text().replace("sum(amount,", "sum(amout,"))
    report = project.validate()
    assert not report.ok
    (error,) = report.errors
    assert error.file == "features/customer.yaml" and error.line > 0 and "amount" in error.message
    with pytest.raises(unskew.UnskewError, match="customer.yaml:"):
        report.raise_for_errors()
    with pytest.raises(unskew.CommandFailed, match="amout"):
        project.training_set("returns")


def test_errors_are_those_of_the_binary(project):
    with pytest.raises(unskew.CommandFailed, match='no training set "retruns".*returns') as caught:
        project.training_set("retruns")
    assert caught.value.exit_code == 2
    with pytest.raises(unskew.UnskewError, match="is not a project"):
        unskew.Project(project.path / "data")
    with pytest.raises(unskew.UnskewError, match="give a pandas or polars DataFrame"):
        build(project, 42)


def test_parity_and_tests(project):
    project.test()
    report = project.parity("returns", rows=50)
    assert report.ok and report.compared > 0 and report.statuses["PRESENT"] > 0


def test_explain(project):
    e = project.explain("customer_orders.orders_30d", {"customer_id": 4}, at="2025-02-01T00:00:00Z", events=100)
    assert e.training.status == "PRESENT" and e.served is None and e.replayed is None and e.total > 0
    assert e.parts[0]["used"] == int(e.training.value)
    frame = e.to_pandas()
    assert (frame["A"] == "used").sum() == int(e.training.value) and str(frame["time"].dtype) == "datetime64[us, UTC]"
    same = project.explain("customer_orders.orders_30d", {"customer_id": 4}, at=dt.datetime(2025, 2, 1), events=100)
    assert same == e and e.training.value in str(e)

    project.materialize()
    live = project.explain("customer_orders.orders_30d", {"customer_id": 4})
    assert live.served == live.replayed == live.training
    with pytest.raises(unskew.CommandFailed, match="names no feature"):
        project.explain("customer_orders", {"customer_id": 4})
    with pytest.raises(unskew.CommandFailed, match="no row 0 of a request r-1"):
        project.explain("customer_orders.orders_30d", request="r-1")


def test_progress_is_passed_on(project, capfd):
    unskew.Project(project.path).training_set("returns")
    assert "spine" in capfd.readouterr().err
    project.training_set("returns")
    assert capfd.readouterr().err == ""


def test_materialize(project: unskew.Project):
    (view,) = project.materialize()
    assert view.view == "customer_orders" and not view.up_to_date and view.entities > 0
    assert project.materialize("customer_orders")[0].up_to_date
    assert not project.materialize(full=True)[0].up_to_date
    assert Path(project.path / ".unskew").is_dir() and pd is not None
