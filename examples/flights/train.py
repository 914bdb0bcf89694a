# %% [markdown]
# # Will this flight be late?
#
# A training set from the flights example, a model, what a leak does to it, and the model in service.
# The notebook is made of `train.py` by `make notebook`. Run either in this folder, with the `unskew` wheel, pandas and
# scikit-learn installed: `python train.py`, or `jupyter lab train.ipynb`. It takes half a minute.

# %%
import os

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import unskew

project = unskew.Project(os.environ.get("FLIGHTS", "."), progress=False)

# %% [markdown]
# ## The training set
#
# Each row of the spine is a flight, asked about two hours before its scheduled departure. Every feature has the value
# that serving would have given at that moment.

# %%
ts = project.training_set("delays_2013")
print(ts)
ts  # in a notebook, its report

# %%
def frame_of(part: str, source: unskew.TrainingSet = ts) -> pd.DataFrame:
    """A part, without the rows that have no tail number: in this data those flights were all cancelled."""
    return source.to_pandas(part).dropna(subset=["tailnum"])


numbers = [o["name"] for o in ts.manifest["outputs"] if o["type"] in ("int", "double", "bool")]


def inputs(frame: pd.DataFrame) -> pd.DataFrame:
    """The features that are numbers or truth values; what has no value is NaN."""
    return frame[numbers].astype("float64")


def fit(frame: pd.DataFrame) -> HistGradientBoostingClassifier:
    some = frame.sample(40_000, random_state=0)  # enough to see the point in seconds
    return HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(inputs(some), some[ts.label])


def auc(model: HistGradientBoostingClassifier, frame: pd.DataFrame) -> float:
    return roc_auc_score(frame[ts.label], model.predict_proba(inputs(frame))[:, 1])


train, validation, test = (frame_of(part) for part in ("train", "validation", "test"))
model = fit(train)
honest = pd.Series({part: auc(model, frame) for part, frame in zip(ts.parts, (train, validation, test))}, name="AUC").round(3)
print(honest.to_string())

# %% [markdown]
# ## What a leak does
#
# The same features, joined as of the moment when the outcome was known, as a join without a time would have them: the
# aircraft's last arrival is now the flight itself. Offline the model looks better. Asked in time, as in service, it is worse
# than the one that was trained honestly.

# %%
spine = pd.concat([train, test])[["origin", "dest", "carrier", "tailnum", "sched_dep", "sched_dep_hour", "distance", "label_known_at", ts.label]]
late = project.training_set(service=ts.service, spine=spine, time="label_known_at", label=ts.label).to_pandas()
leaking_train, leaking_test = late.iloc[: len(train)], late.iloc[len(train) :]
leaking = fit(leaking_train)
comparison = pd.DataFrame(
    {
        "looks like": [auc(model, test), auc(leaking, leaking_test)],
        "is, when asked in time": [auc(model, test), auc(leaking, test)],
    },
    index=["honest", "leaking"],
).round(3)
print(comparison)

# %%
assert comparison.loc["leaking", "looks like"] > comparison.loc["honest", "looks like"]
assert comparison.loc["leaking", "is, when asked in time"] < comparison.loc["honest", "is, when asked in time"]

# %% [markdown]
# ## In service
#
# The server answers with the features of now. `fingerprint` makes it refuse if they no longer mean what the model was
# trained on. The year of the data is over, so most windows are empty: the model sees what it would see.

# %%
project.materialize()
flights = test.head(3)[["origin", "dest", "carrier", "tailnum", "sched_dep", "sched_dep_hour", "distance"]]
with project.serve() as client:
    got = client.get_online_features(ts.service, flights, fingerprint=ts.fingerprint)
answers = got.to_pandas()
print(pd.Series(model.predict_proba(inputs(answers))[:, 1], index=flights["tailnum"], name="late").round(3).to_string())
