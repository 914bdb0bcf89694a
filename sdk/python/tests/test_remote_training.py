import pyarrow as pa
import pytest

import unskew

SPINE = {
    "customer_id": [3, 4],
    "amount": [20.0, 7.5],
    "asked_at": pa.array([1740823200_000000, 1740823200_000000], pa.timestamp("us", tz="UTC")),
}


def test_the_server_builds_the_same_as_the_command(client, project):
    there = client.get_training_set("returns", progress=False)
    here = project_training_set(project, client)
    assert there.fingerprint == here.fingerprint and there.features == here.features
    assert there.to_arrow().to_pylist() == here.to_arrow().to_pylist()
    assert there.to_pandas().shape == there.to_polars().shape == (236, there.to_arrow().num_columns)
    assert there.to_arrow() is there.to_arrow() and "RemoteTrainingSet(return_risk" in repr(there)


def project_training_set(project, client):
    """The same training set, built by the command: the server holds the embedded store, so the command works on a copy."""
    import shutil

    copy = project.path.parent / "copy"
    shutil.copytree(project.path, copy, ignore=shutil.ignore_patterns(".unskew"))
    return unskew.Project(copy, progress=False).training_set("returns")


def test_a_spine_is_uploaded(client, capfd):
    ts = client.get_training_set(service="return_risk", spine=SPINE, time="asked_at", id="mine")
    assert len(ts.to_arrow()) == 2 and ts.to_pandas()["customer_orders.orders_30d"][0] > 0
    assert "training set mine: succeeded" in capfd.readouterr().err
    again = client.get_training_set(service="return_risk", spine=SPINE, time="asked_at", id="mine", progress=False)
    assert again.to_arrow() == ts.to_arrow()
    with pytest.raises(unskew.AlreadyExists, match="its request was a different one"):
        client.get_training_set("returns", id="mine", progress=False)
    assert [s["id"] for s in client.list_training_sets()] == ["mine"]


def test_a_broken_stream_resumes(client):
    ts = client.get_training_set("returns", progress=False)
    whole = ts.to_arrow()
    calls = []
    real = client._calls["ReadTrainingSet"]

    class Broken:
        """A stream that breaks after its schema, as if the server had gone away."""

        def __init__(self, stream):
            self._stream, self._left = stream, 1

        def __next__(self):
            if not self._left:
                raise unavailable()
            self._left -= 1
            return next(self._stream)

        def cancel(self):
            self._stream.cancel()

    def read(request, **kwargs):
        calls.append(request.from_row)
        stream = real(request, **kwargs)
        return Broken(stream) if len(calls) == 1 else stream

    client._calls["ReadTrainingSet"] = read
    assert client._stream_part(ts.id, "data") == whole and len(calls) == 2


def test_a_server_that_is_restarted_is_waited_for(client, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    real, calls = client._calls["GetTrainingSet"], []

    def get(request, **kwargs):
        calls.append(request.id)
        if len(calls) <= 3:
            raise unavailable()
        return real(request, **kwargs)

    client._calls["GetTrainingSet"] = get
    ts = client.get_training_set("returns", progress=False)
    assert len(ts.to_arrow()) == 236 and len(calls) > 3
    assert ts.to_arrow().schema.metadata[b"unskew.service_fingerprint"].decode() == ts.fingerprint


def test_a_training_set_that_fails_says_why(client):
    with pytest.raises(unskew.TrainingSetFailed, match='the uploaded spine has no column "customer_id"') as raised:
        client.get_training_set(service="return_risk", spine={"asked_at": SPINE["asked_at"]}, time="asked_at", progress=False)
    assert "/" not in str(raised.value)


def unavailable():
    import grpc

    class Gone(grpc.RpcError):
        def code(self):
            return grpc.StatusCode.UNAVAILABLE

        def details(self):
            return "gone"

    return Gone()


def test_errors_are_those_of_the_server(client):
    with pytest.raises(unskew.InvalidArgument, match='no training set "retruns"'):
        client.get_training_set("retruns", progress=False)
    with pytest.raises(unskew.InvalidArgument, match="is outside the project"):
        client.get_training_set(service="return_risk", spine_from="../x.csv", time="asked_at", progress=False)
