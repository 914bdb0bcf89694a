import datetime as dt

import pyarrow as pa
import pytest

import unskew

NOW = dt.datetime.now(dt.timezone.utc)


@pytest.fixture
def client(project):
    path = project.path / "features" / "risk.yaml"
    path.write_text(
        """kind: FeatureService
name: risk
features: [customer_orders]
predictions: {score: double, refused: bool}
outcomes: {returned: bool, lost: double}
"""
    )
    project.materialize()
    with project.serve() as client:
        yield client


def test_predictions_are_logged_once(client):
    answer = client.get_online_features("risk", {"customer_id": [3, 4]})
    scores = {"score": [0.25, 0.5], "refused": [True, None]}
    assert client.log_predictions("risk", scores, answer=answer, model="m1", at=NOW).counts == {"APPENDED": 2}
    assert client.log_predictions("risk", scores, answer=answer.request_id, model="m1", at=NOW).counts == {"DUPLICATE": 2}
    assert client.log_predictions("risk", scores, answer=answer, model="m2").counts == {"APPENDED": 2}
    whole = {"request_id": [answer.request_id], "request_row": [1], "model": ["m1"], "predicted_at": [NOW], "score": [0.75], "refused": pa.nulls(1)}
    assert client.log_predictions("risk", whole).counts == {"CONFLICT": 1}


def test_outcomes_are_filled_when_they_are_known(client):
    answer = client.get_online_features("risk", {"customer_id": [3, 4]}, request_id="my-request")
    assert answer.request_id == "my-request"
    first = {"request_id": [answer.request_id] * 2, "request_row": [0, 1], "observed_at": [NOW, NOW - dt.timedelta(days=20)], "returned": [True, False]}
    assert client.log_outcomes("risk", first).counts == {"APPENDED": 2}
    assert client.log_outcomes("risk", first).counts == {"DUPLICATE": 2}
    assert client.log_outcomes("risk", {"request_id": [answer.request_id], "lost": [12.5]}, at=NOW).counts == {"FILLED": 1}


def test_mistakes_are_named(client):
    answer = client.get_online_features("risk", {"customer_id": [3, 4]})
    for call, match in (
        (lambda: client.log_predictions("risk", {"score": [1.0]}, answer=answer, model="m"), "1 predictions for the 2 rows"),
        (lambda: client.log_predictions("risk", {"score": [1.0]}, model="m"), 'no column "request_id"'),
        (lambda: client.log_predictions("risk", {"score": [1.0], "request_id": ["a"]}), 'no column "model"'),
        (lambda: client.log_predictions("risk", {"score": [1.0], "request_id": ["a"], "model": ["m"]}, model="m"), "leave one of them out"),
        (lambda: client.log_outcomes("risk", {"returned": [True], "request_id": pa.nulls(1, pa.string())}), "has a null"),
        (lambda: client.log_outcomes("risk", {"retruned": [True], "request_id": ["a"]}), "retruned"),
        (lambda: client.get_online_features("risk", {"customer_id": [3]}, request_id="with space"), "without spaces"),
    ):
        with pytest.raises(unskew.InvalidArgument, match=match):
            call()
    with pytest.raises(unskew.ServerError, match="return_risk_outcomes"):
        client.log_outcomes("return_risk", {"returned": [True], "request_id": ["a"]})


def test_training_on_what_was_served(project):
    project.materialize()
    with project.serve(served_log="100%") as client:
        answer = client.get_online_features("return_risk", {"customer_id": [3, 4, -1], "amount": [1.0, 2.0, 3.0]})
    labels = project.path / "labels.csv"
    labels.write_text(f"request_id,request_row,returned\n{answer.request_id},0,true\n{answer.request_id},2,false\n")
    ts = project.training_set(from_served="return_risk", outcomes=labels, label="returned", served_from=NOW - dt.timedelta(hours=1))
    got = ts.to_arrow("data")
    assert got.column("returned").to_pylist() == [True, False] and got.column("customer_id").to_pylist() == [3, -1]
    for name in answer.to_arrow().column_names:
        assert got.column(name).to_pylist() == [answer.to_arrow().column(name).to_pylist()[i] for i in (0, 2)]
    assert ts.manifest["spine"]["served"]["unlabelled"] == 1
    assert len(project.training_set(from_served="return_risk", outcomes=labels, label="returned", unlabelled=True).to_arrow("data")) == 3
    with pytest.raises(unskew.CommandFailed, match="none in that time"):
        project.training_set(from_served="return_risk", served_to=NOW - dt.timedelta(hours=1))
    with pytest.raises(unskew.UnskewError, match="rows and times of its own"):
        project.training_set("returns", from_served="return_risk")
