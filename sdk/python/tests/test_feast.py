"""The import of Feast repositories, over objects like those of a registry. tests/feast has the same with the real package."""

import json
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import unskew
from unskew import _from_feast as imported
from unskew import feast

ROOT = Path(__file__).parents[3]


class Object(SimpleNamespace):
    """Any object of Feast; attributes that a test does not give are empty."""

    def __getattr__(self, name):
        if name in ("description", "owner", "created_timestamp_column"):
            return ""
        if name in ("tags", "field_mapping"):
            return {}
        raise AttributeError(name)


class FileSource(Object):
    pass


class PushSource(Object):
    pass


class KafkaSource(Object):
    pass


class BigQuerySource(Object):
    pass


class RequestSource(Object):
    pass


class StreamFeatureView(Object):
    pass


def field(name, kind="DOUBLE", **more):
    return Object(name=name, dtype=SimpleNamespace(name=kind), **more)


def entity(name, join_key=None, kind="INT64"):
    return Object(name=name, join_key=join_key or name, value_type=SimpleNamespace(name=kind))


def view(name="v", entities=("user",), features=None, source=None, keys=None, ttl=timedelta(days=1), cls=Object, **more):
    source = source or stats()
    keys = [field(e + "_id", "INT64") for e in entities] if keys is None else keys
    defaults = {"entity_columns": keys, "features": features or [field("x")], "batch_source": source, "stream_source": None, "ttl": ttl}
    return cls(name=name, entities=list(entities), **(defaults | more))


def stats(path="stats.parquet", **more):
    return FileSource(**({"name": "stats", "path": path, "timestamp_field": "ts", "created_timestamp_column": "created"} | more))


def projection(of, features=None, **more):
    names = features or [f.name for f in of.features]
    fields = [f for f in of.features if f.name in names]
    return Object(**({"name": of.name, "name_alias": None, "features": fields, "join_key_map": {}, "version_tag": None} | more))


@pytest.fixture
def converted(tmp_path):
    """Converts objects and checks that the engine accepts the result; returns texts and notes."""

    def convert(*, columns=None, path="stats.parquet", other=None, entities=None, **objects):
        root, out = tmp_path / "repo", tmp_path / "project"
        times = pa.array([0, 1_000_000, 2_000_000], pa.timestamp("us", "UTC"))
        root.mkdir(exist_ok=True)
        table = {"user_id": [1, 1, 2], "ts": times, "created": times, "x": [0.5, 1.5, 2.5]} | (columns or {})
        if path:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(table), root / path)
        if other:
            pq.write_table(pa.table(table | other), root / "other.parquet")
        made = imported.Converter(imported.Repository("project", root, entities=entities or [entity("user", "user_id")], **objects), out)
        made.run()
        for name, text in made.files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")
        unskew.Project(out, progress=False).validate().raise_for_errors()
        return SimpleNamespace(files=made.files, notes=made.notes, text="\n".join(made.files.values()), out=out)

    return convert


def said(result, kind, *words):
    """Whether there is a note of this kind with all these words, which is a comment in the files too unless it is about a name."""
    found = [n for n in result.notes if n.kind == kind and all(w in str(n) for w in words)]
    assert found, f"no note {kind!r} with {words} among {[str(n) for n in result.notes]}"
    if kind != "renamed":
        flat = re.sub(r"\s*\n\s*# *", " ", result.text)
        assert any(" ".join(str(n).split()).split(" The code:")[0] in " ".join(flat.split()) for n in found), f"not in the files: {found[0]}"
    return True


def expression(result, feature):
    return re.search(rf"^  {feature}: (.*)$", result.files["features/views.yaml"], re.M).group(1).strip("'")


def test_the_names_that_are_reserved_are_those_of_the_engine():
    source = (ROOT / "featuredefs" / "yamldoc" / "object.go").read_text(encoding="utf-8")
    words = re.search(r"reservedNames = wordSet\(`([^`]*)`", source).group(1).split()
    assert imported.RESERVED == set(words)


@pytest.mark.parametrize(
    ("ttl", "window"),
    [
        (None, None),
        (timedelta(0), None),
        (timedelta(days=2), "2d/exact"),
        (timedelta(hours=36), "36h/exact"),
        (timedelta(minutes=90), "90m/exact"),
        (timedelta(seconds=61), "61s/exact"),
        (timedelta(seconds=1, microseconds=1), "2s/exact"),
        (timedelta(weeks=520), "3640d/exact"),
    ],
)
def test_ttl_is_the_window(ttl, window):
    assert imported.window(ttl) == window


def test_features_are_the_latest_values(converted):
    got = converted(views=[view(features=[field("x", description="How: much", tags={"a": "b", "c": ""})], owner="me@example.com", tags={"team": "x"})])
    assert 'expr: latest(x, "1d/exact")' in got.text
    assert 'description: "How: much"' in got.text and 'tags: ["a=b", c]' in got.text and 'owner: "me@example.com"' in got.text
    assert "\nknown_at: created\n" in got.text and "\nevent_time: ts\n" in got.text and "from: \"../repo/stats.parquet\"" in got.text
    assert not [n for n in got.notes if n.kind == "differs"]


def test_without_a_ttl_there_is_no_window(converted):
    assert expression(converted(views=[view(ttl=timedelta(0))]), "x") == "latest(x)"


def test_a_null_of_the_newest_row_stays_null(converted):
    got = converted(columns={"x": [0.5, None, 2.5]}, views=[view()])
    assert expression(got, "x") == 'latest(x != null ? [x] : [], "1d/exact").optFlatMap(v, v.first())'
    assert said(got, "differs", "x has nulls")
    spine = {"user_id": [1, 1, 2], "at": pa.array([1_000_000, 2_000_000, 3_000_000], pa.timestamp("us", "UTC"))}
    rows = unskew.Project(got.out, progress=False).training_set(service="all_features", spine=spine, time="at").to_arrow()
    assert rows["v.x"].to_pylist() == [0.5, None, 2.5]


def test_without_a_created_timestamp_a_row_counts_as_known_when_it_happened(converted):
    got = converted(views=[view(source=stats(created_timestamp_column=""))])
    assert "known_at:" not in re.sub("#.*", "", got.text)
    assert said(got, "differs", "no created timestamp")


def test_names_that_are_no_identifiers(converted):
    features = [field("avg-x"), field("avg x"), field("1d"), field("if", "INT64"), field("now", "STRING")]
    columns = {"avg-x": [1.0] * 3, "avg x": [2.0] * 3, "1d": [3.0] * 3, "if": [1] * 3, "now": ["a"] * 3}
    got = converted(columns=columns, views=[view("the view", features=features)])
    for name, column in (("avg_x", "avg_x"), ("avg_x_2", "avg_x_2"), ("_1d", "_1d"), ("if_", "if_"), ("now_", "now_")):
        assert expression(got, name) == f'latest({column}, "1d/exact")'
    assert said(got, "renamed", '"avg x"', "avg_x_2") and said(got, "renamed", 'feature view "the view"', "the_view")
    assert 'avg_x_2: {type: double, field: "avg x"}' in got.text


def test_names_with_dots_are_one_name(converted):
    got = converted(columns={"a.b": [1.0] * 3}, views=[view(features=[field("a.b")])])
    assert "a_b: {type: double, field: [a.b]}" in got.text


def test_field_mappings(converted):
    source = stats(field_mapping={"raw": "x2", "when": "happened"}, timestamp_field="happened")
    times = pa.array([0, 1_000_000, 2_000_000], pa.timestamp("us", "UTC"))
    got = converted(columns={"raw": [1.0] * 3, "when": times}, views=[view(source=source, features=[field("x2")])])
    assert "x2: {type: double, field: raw}" in got.text and "happened: {type: timestamp, field: when}" in got.text and "event_time: happened" in got.text


@pytest.mark.parametrize(
    ("kind", "column", "want"),
    [
        ("INT32", pa.array([1, 2, 3], pa.int32()), "int"),
        ("INT64", [1.0, 2.0, 3.0], "int"),
        ("DOUBLE", [1, 2, 3], "double"),
        ("FLOAT", pa.array([1, 2, 3], pa.float32()), "double"),
        ("BOOL", [True, False, True], "bool"),
        ("STRING", ["a", "b", "c"], "string"),
        ("BYTES", [b"a", b"b", b"c"], "bytes"),
        ("UNIX_TIMESTAMP", pa.array([1, 2, 3], pa.timestamp("us", "UTC")), "timestamp"),
        ("UNIX_TIMESTAMP", pa.array([1, 2, 3], pa.date32()), "timestamp"),
        ("UUID", ["a", "b", "c"], "string"),
        ("STRING", [1, 2, 3], "int"),  # the data decides, and it is said
        ("INT64", ["1", "2", "3"], "string"),
    ],
)
def test_types(converted, kind, column, want):
    got = converted(columns={"z": column}, views=[view(features=[field("z", kind)])])
    assert f"  z: {{type: {want}}}" in got.text


def test_types_that_lose_something_online_are_told(converted):
    columns = {"f": [0.1, 0.2, 0.3], "t": pa.array([1, 2, 3], pa.timestamp("us", "UTC")), "s": [1, 2, 3]}
    got = converted(columns=columns, views=[view(features=[field("f", "FLOAT"), field("t", "UNIX_TIMESTAMP"), field("s", "STRING")])])
    assert said(got, "differs", "f is Float32", "rounds it") or said(got, "differs", "f is FLOAT")
    assert said(got, "differs", "whole seconds") and said(got, "differs", "s is STRING", "int in the data")


@pytest.mark.parametrize("kind", ["FLOAT_LIST", "STRING_SET", "MAP", "STRUCT", "UNKNOWN"])
def test_what_is_no_scalar_is_left_out_and_told(converted, kind):
    got = converted(columns={"y": [[1.0], [2.0], [3.0]]}, views=[view(features=[field("x"), field("y", kind)])])
    assert said(got, "by hand", "y is", "scalar columns")
    assert "# y: y is" in got.files["features/views.yaml"] and not re.search(r"^  y:", got.text, re.M)


def test_a_view_of_lists_only_is_told(converted):
    got = converted(views=[view(), view("w", features=[field("y", "FLOAT_LIST")], source=stats())], columns={"y": [[1.0]] * 3})
    assert [n for n in got.notes if "no feature that can be written" in str(n)]


def test_a_column_that_the_data_does_not_have(converted):
    got = converted(views=[view(features=[field("x"), field("z")])])
    assert said(got, "by hand", "z is not a column of the data")


def test_several_entities_are_one_with_several_keys(converted):
    keys = [field("user_id", "INT64"), field("item_id", "STRING")]
    got = converted(
        columns={"item_id": ["a", "b", "c"]}, entities=[entity("user", "user_id"), entity("item", "item_id", "STRING"), entity("lonely", kind="STRING")],
        views=[view(entities=("user", "item"), keys=keys)],
    )
    assert "name: user_item" in got.text and "keys: [{name: user_id, type: int}, {name: item_id, type: string}]" in got.text
    assert "name: lonely" in got.text


def test_an_entity_with_keys_of_two_types(converted):
    users = [entity("user", "user_id", "UNKNOWN")]
    got = converted(
        other={"user_id": ["a", "b", "c"]}, entities=users,
        views=[view(), view("w", keys=[field("user_id", "STRING")], source=stats("other.parquet", name="other")), view("z", keys=[], source=stats("other.parquet", name="other"))],
    )
    text = got.files["features/entities.yaml"]
    assert "name: user\nkeys: [{name: user_id, type: int}]" in text and "name: user_string\nkeys: [{name: user_id, type: string}]" in text
    assert got.files["features/views.yaml"].count("entity: user_string") == 2
    assert said(got, "added", "keys of different types") and said(got, "by hand", "w", "not in all_features")


def test_a_view_without_entity_is_told(converted):
    got = converted(views=[view(), view("w", entities=(imported._DUMMY_ENTITY,), keys=[])])
    assert [n for n in got.notes if n.kind == "by hand" and "has no entity" in str(n)]


def test_pushed_views_share_the_source_of_the_files(converted):
    batch = stats()
    push = PushSource(name="pushed", batch_source=batch, timestamp_field="")
    got = converted(views=[view(source=batch, stream_source=push), view("w", source=batch)])
    assert got.files["features/sources.yaml"].count("kind: Source") == 1
    assert "stream: true" in got.text and said(got, "by hand", 'PushSource "pushed"', "Client.push")
    assert said(got, "differs", 'feature view "w"', "does not see what is pushed")


def test_streams_and_their_aggregations(converted):
    kafka = KafkaSource(name="k", batch_source=stats(), timestamp_field="ts", kafka_options=SimpleNamespace(topic="clicks", watermark_delay_threshold=timedelta(minutes=5)))
    total = SimpleNamespace(function="sum", column="amount", time_window=timedelta(hours=1), slide_interval=timedelta(minutes=5))
    got = converted(views=[view(cls=StreamFeatureView, stream_source=kafka, aggregations=[total], udf_string="def f(df):\n    return df", feature_transformation=None)])
    assert said(got, "by hand", "sum of amount", 'sum(amount, "1h/5m")') and said(got, "by hand", "reads 'clicks'") and said(got, "differs", "0:05:00 late")
    assert "#     return df" in got.text


def test_sources_that_are_not_files(converted):
    source = BigQuerySource(name="bq", table="p.d.t", timestamp_field="ts")
    got = converted(views=[view(source=source)], path=None)
    assert said(got, "by hand", "BigQuerySource of p.d.t", "set from:") and "stream: true" in got.text


@pytest.mark.parametrize("path", ["s3://bucket/stats.parquet", "gone.parquet"])
def test_files_that_cannot_be_read_now(converted, path):
    got = converted(views=[view(source=stats(path))], path=None)
    assert said(got, "by hand", "no history yet") and f"# from: {'../repo/' if '//' not in path else ''}{path}" in got.text


def test_a_folder_of_files(converted):
    got = converted(views=[view(source=stats("stats"))], path="stats/day=1/a.parquet")
    assert 'from: "../repo/stats/**/*.parquet"' in got.text


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"ts": [1, 2, 3]}, "ts as int"),
        ({"created": ["a", "b", "c"]}, "created as string"),
        ({"X": [1.0, 2.0, 3.0]}, "differ only in case (x)"),
        ({"ts": [[1], [2], [3]]}, "no column ts that is a time"),
    ],
)
def test_files_that_cannot_be_used_as_they_are(converted, columns, words):
    assert said(converted(columns=columns, views=[view()]), "by hand", words, "no history yet")


def test_files_that_are_no_parquet(converted, tmp_path):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "stats.parquet").write_text("no parquet")
    assert said(converted(path=None, views=[view()]), "by hand", "cannot be read")


def test_keys_have_the_type_of_the_data(converted):
    got = converted(entities=[entity("user", "user_id", "STRING")], views=[view(keys=[])])
    assert "keys: [{name: user_id, type: int}]" in got.text and said(got, "differs", "key user_id is string in Feast and int in the data")


def test_a_column_that_two_views_have_as_different_types(converted):
    got = converted(columns={"n": [1, 2, 3]}, views=[view(features=[field("n", "INT64")]), view("w", features=[field("n", "DOUBLE")])])
    assert said(got, "differs", 'feature view "w"', "n is int, as another view")


def test_a_service_over_keys_of_different_types(converted):
    v = view()
    w = view("w", keys=[field("user_id", "STRING")], source=stats("other.parquet", name="other"))
    service = Object(name="s", feature_view_projections=[projection(v), projection(w)])
    got = converted(other={"user_id": ["a", "b", "c"]}, views=[v, w], services=[service])
    assert said(got, "by hand", 'feature service "s"', "reads w, which has a key of another type")


def test_delta_tables(converted):
    class DeltaFormat:
        pass

    assert said(converted(views=[view(source=stats(file_format=DeltaFormat()))]), "by hand", "Delta table")


def test_rows_of_one_key_and_time_are_found(converted):
    times = pa.array([0, 0, 2_000_000], pa.timestamp("us", "UTC"))
    assert said(converted(columns={"ts": times}, views=[view()]), "differs", "1 combinations of user_id and ts", "created last", "event_id: row_id")


def test_services(converted):
    v, w = view(features=[field("x"), field("y")]), view("w", entities=("user",))
    first = Object(
        name="first", description="What a model reads",
        feature_view_projections=[projection(v), projection(w, name_alias="other-user", join_key_map={"user_id": "other_id"}), projection(v, ["x"], name_alias="again", join_key_map={"user_id": "third_id"})],
        logging_config=SimpleNamespace(sample_rate=0.25),
    )
    second = Object(name="second one", feature_view_projections=[projection(v, ["y"], version_tag=2), projection(Object(name="gone", features=[]))])
    got = converted(columns={"y": [1.0, 2.0, 3.0]}, views=[v, w], services=[first, second])
    text = got.files["features/services.yaml"]
    assert "  - v\n" in text and "{view: w, as: other_user, keys: {user_id: other_id}}" in text and "{view: v.x, as: again, keys: {user_id: third_id}}" in text
    assert "name: second_one\nfeatures:\n  - v.y\n" in text
    assert said(got, "by hand", 'feature view "gone"') and said(got, "by hand", "version 2") and said(got, "by hand", "served_log: {rate: 25%}")


def test_without_services_there_is_one_of_everything(converted):
    got = converted(views=[view()])
    assert "name: all_features\nfeatures:\n  - v\n" in got.text and said(got, "added", "all_features")


def test_on_demand_views_are_told_with_their_code(converted):
    v = view()
    asked = RequestSource(name="asked", schema=[field("amount"), field("user_id", "STRING"), field("many", "FLOAT_LIST")])
    derived = Object(
        name="ratio", features=[field("ratio")], source_feature_view_projections={"v": projection(v)}, source_request_sources={"asked": asked},
        udf_string="def ratio(inputs):\n    return inputs", feature_transformation=None,
    )
    service = Object(name="s", feature_view_projections=[projection(derived)])
    got = converted(views=[v], services=[service], on_demand=[derived, Object(name="unused", features=[field("z")], feature_transformation=None, udf_string="")])
    text = got.files["features/services.yaml"]
    assert "request:\n  amount: double\n" in text and "#     return inputs" in text and "  - v\n" in text
    assert said(got, "by hand", 'on demand feature view "ratio"') and said(got, "by hand", 'on demand feature view "unused"')
    assert said(got, "by hand", "request field user_id") and said(got, "by hand", "request field many")


def test_everything_else_is_told(converted):
    got = converted(views=[view()], label_views=[Object(name="labels")], others=[("permission", "p", "See docs/security.md")], settings={"online_store": "redis"},
                    sources=[stats(name="spare", path="spare.parquet")])
    for words in (("label view",), ("permission",), ("redis",), ('"spare"',)):
        assert said(got, "by hand", *words)


def test_text_cannot_leave_its_place(converted):
    evil = 'x"\nkind: Source # {a: b}\u2028---'
    v = view(features=[field("x", description=evil)], description=evil, tags={evil: evil}, owner=evil)
    got = converted(views=[v], services=[Object(name="s", description=evil, feature_view_projections=[projection(v)])], others=[("permission", evil, "")])
    assert got.text.count("\nkind: Source\n") == 1
    assert json.dumps(evil, ensure_ascii=False) in got.text


def test_a_folder_without_a_repository(tmp_path):
    with pytest.raises(unskew.UnskewError, match="no feature_store.yaml"):
        feast.convert(tmp_path, tmp_path / "out")


def test_a_project_is_not_overwritten(tmp_path):
    (tmp_path / "feature_store.yaml").write_text("project: p\n")
    (tmp_path / "unskew.yaml").write_text("project: p\n")
    with pytest.raises(unskew.UnskewError, match="unskew.yaml exists"):
        feast.convert(tmp_path, tmp_path)


def test_the_missing_package_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "feast", None)
    (tmp_path / "feature_store.yaml").write_text("project: p\n")
    assert feast.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "pip install feast" in capsys.readouterr().err
