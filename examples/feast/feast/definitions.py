"""The features of a marketplace that ranks offers, as a Feast repository."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64, UnixTimestamp

seller = Entity(name="seller", join_keys=["seller_id"], value_type=ValueType.INT64, description="Who offers something.")

# A table that a job writes every night: one row for each seller and day.
daily = FileSource(name="daily", path="../data/daily.parquet", timestamp_field="day", created_timestamp_column="loaded_at")

# Changes of offers, as they come in. They are pushed too.
changes = FileSource(name="changes", path="../data/changes.parquet", timestamp_field="changed_at", created_timestamp_column="received_at")
pushed = PushSource(name="offer_changes", batch_source=changes)

seller_daily = FeatureView(
    name="seller_daily",
    entities=[seller],
    ttl=timedelta(days=3),
    schema=[
        Field(name="orders_7d", dtype=Int64, description="Orders of the seven days before."),
        Field(name="return_share", dtype=Float64),
        Field(name="rating", dtype=Float32),
    ],
    source=daily,
    owner="offers@example.com",
)

offer = FeatureView(
    name="offer",
    entities=[seller],
    ttl=timedelta(days=2),
    schema=[
        Field(name="price", dtype=Float64),
        Field(name="stock", dtype=Int64),
        Field(name="last_order_at", dtype=UnixTimestamp),
    ],
    source=pushed,
)

asked = RequestSource(name="asked", schema=[Field(name="budget", dtype=Float64)])


@on_demand_feature_view(sources=[offer, asked], schema=[Field(name="left_over", dtype=Float64)])
def affordable(inputs):
    import pandas as pd

    return pd.DataFrame({"left_over": inputs["budget"] - inputs["price"]})


rank_v1 = FeatureService(name="rank_v1", features=[seller_daily, offer, affordable])
