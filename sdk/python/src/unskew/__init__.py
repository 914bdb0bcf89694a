"""Unskew from Python.

There are two ways to use the same engine:

* :class:`Project` runs it locally on a folder with definitions::

    import unskew
    ts = unskew.Project("examples/flights").training_set("delays_2013")
    frame = ts.to_pandas("train")

* :class:`Client` talks to a server::

    client = unskew.Client("http://127.0.0.1:7171")
    features = client.get_online_features("return_risk", [{"customer_id": 3, "amount": 20.0}])

Tables go in as pandas or polars frames, Arrow tables, dicts of lists or lists of
dicts, and come out as Arrow tables with ``to_pandas()`` and ``to_polars()``.
"""

from ._version import version as __version__
from .client import Client, Freshness, OnlineFeatures, Outcome, PushedRow, PushResult, Service
from .errors import (
    AlreadyExists,
    Canceled,
    CommandFailed,
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    NaiveTimeWarning,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServerError,
    TrainingSetFailed,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    UnskewError,
)
from .explanation import ExplainedValue, Explanation
from .project import Finding, Materialized, ParityReport, Project, ValidationReport
from .training import Fold, RemoteTrainingSet, TrainingSet

__all__ = [
    "AlreadyExists",
    "Canceled",
    "Client",
    "CommandFailed",
    "DeadlineExceeded",
    "ExplainedValue",
    "Explanation",
    "FailedPrecondition",
    "Finding",
    "Fold",
    "Freshness",
    "InternalError",
    "InvalidArgument",
    "Materialized",
    "NaiveTimeWarning",
    "NotFound",
    "OnlineFeatures",
    "Outcome",
    "ParityReport",
    "PermissionDenied",
    "Project",
    "PushResult",
    "PushedRow",
    "RemoteTrainingSet",
    "ResourceExhausted",
    "ServerError",
    "Service",
    "TrainingSet",
    "TrainingSetFailed",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UnskewError",
    "ValidationReport",
    "__version__",
]
