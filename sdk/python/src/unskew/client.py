"""A client of an Unskew server, over gRPC."""

from __future__ import annotations

import contextlib
import enum
import http.client
import json
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, urlsplit

import grpc
import pyarrow as pa
from google.protobuf import json_format

from . import feedback, wire
from .errors import Canceled, InvalidArgument, ServerError, TrainingSetFailed, Unavailable, UnskewError, server_error
from .explanation import Explanation, explanation, key_texts
from .frames import Frame, times_in_utc, to_arrow
from .training import RemoteTrainingSet

if TYPE_CHECKING:
    import pandas
    import polars

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_STATUSES = wire.enum_names("Status")
_OUTCOMES = wire.enum_names("Outcome")
_TRAINING_STATES = wire.enum_names("TrainingState")

_REPEATABLE = ("CreateTrainingSet", "GetTrainingSet", "ListTrainingSets", "CancelTrainingSet")

# Reads are retried, and so are training sets, whose creation is idempotent. Pushes are not: without an event id they would count twice.
_SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": "unskew.v1.FeatureService"}, {"service": "unskew.v1.ParityService"}, *({"service": "unskew.v1.TrainingService", "method": m} for m in _REPEATABLE)],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


@dataclass(frozen=True)
class Service:
    """A feature service with the columns it takes and returns; ``list_services`` leaves the columns out."""

    name: str
    fingerprint: str
    description: str = ""
    keys: dict[str, str] = field(default_factory=dict)  #: name to type
    request: dict[str, str] = field(default_factory=dict)  #: name to type
    features: dict[str, str] = field(default_factory=dict)  #: name to type, in the order of answers


#: The outcome of a pushed row: APPENDED, DUPLICATE, CONFLICT, REJECTED and the others of the wire contract.
Outcome = enum.Enum("Outcome", {name: number for number, name in _OUTCOMES.items()})  # type: ignore[misc]


@dataclass(frozen=True)
class PushedRow:
    """The result for one pushed row."""

    outcome: Outcome
    position: int  #: in its shard of the source's log, from 1; 0 for a rejected row
    message: str  #: why it was rejected or conflicts
    shard: int = 0  #: of the source's log


@dataclass(frozen=True)
class PushResult(Sequence[PushedRow]):
    """The results for the rows of a push, in order."""

    rows: tuple[PushedRow, ...]

    def __getitem__(self, i: Any) -> Any:
        return self.rows[i]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of rows by the name of their outcome."""
        return dict(Counter(r.outcome.name for r in self.rows))

    def __repr__(self) -> str:
        return f"PushResult({', '.join(f'{n}: {c}' for n, c in sorted(self.counts.items()))})"


@dataclass(frozen=True)
class Freshness:
    """How far a view was behind its source."""

    generation: int  #: of its materialization
    position: int  #: in the source's log, up to which all events are applied, at least; 0 without a stream
    lag: int  #: records of the log after the position
    complete: datetime | None  #: events that were stored before are applied; None if unknown


class OnlineFeatures:
    """Features of a service for a number of rows, all as of one moment."""

    #: Fingerprint of the service that answered.
    fingerprint: str
    #: The moment all rows were read as of.
    as_of: datetime
    #: The age of the oldest event that may be missing; None if unknown.
    staleness: timedelta | None
    #: The id of the request, under which the served log has the answer, and predictions and outcomes are logged.
    request_id: str

    def __init__(self, answer: Any, entities: pa.Table, request_id: str) -> None:
        self.request_id = request_id
        self.fingerprint = answer.fingerprint
        self.as_of = _EPOCH + timedelta(microseconds=answer.as_of_micros)
        self.staleness = timedelta(microseconds=answer.staleness_micros) if answer.HasField("staleness_micros") else None
        self._answer = answer
        self._entities = entities

    def __len__(self) -> int:
        return int(self._answer.rows)

    def __repr__(self) -> str:
        return f"OnlineFeatures({len(self)} rows × {len(self._answer.outputs)} features as of {self.as_of.isoformat()})"

    @cached_property
    def _features(self) -> pa.Table:
        outputs = self._answer.outputs
        return pa.table(
            [wire.arrow_column(o.column, o.type, len(self)) for o in outputs],
            schema=pa.schema([(o.column.name, wire.arrow_type(o.type)) for o in outputs], metadata=self._metadata),
        )

    @property
    def _metadata(self) -> dict[bytes | str, bytes | str]:
        return {"unskew.service_fingerprint": self.fingerprint, "unskew.as_of": self.as_of.isoformat()}

    def to_arrow(self, *, entities: bool = False) -> pa.Table:
        """The features as an Arrow table; with ``entities``, the columns of the request come first."""
        if not entities:
            return self._features
        columns = [*self._entities.columns, *self._features.columns]
        return pa.table(columns, names=[*self._entities.column_names, *self._features.column_names]).replace_schema_metadata(self._metadata)

    def to_pandas(self, *, entities: bool = False) -> pandas.DataFrame:
        """The features as a pandas frame."""
        frame: pandas.DataFrame = self.to_arrow(entities=entities).to_pandas()
        return frame

    def to_polars(self, *, entities: bool = False) -> polars.DataFrame:
        """The features as a polars frame."""
        import polars

        frame = polars.from_arrow(self.to_arrow(entities=entities))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_pylist(self) -> list[dict[str, Any]]:
        """A dict for each row."""
        rows: list[dict[str, Any]] = self._features.to_pylist()
        return rows

    @cached_property
    def freshness(self) -> dict[str, Freshness]:
        """How far each view was behind its source, by the view's role in the service."""

        def complete(f: Any) -> datetime | None:
            return _EPOCH + timedelta(microseconds=f.complete_micros) if f.HasField("complete_micros") else None

        return {f.view: Freshness(f.generation, f.position, f.lag, complete(f)) for f in self._answer.freshness}

    @cached_property
    def statuses(self) -> pa.Table:
        """The status of every value: PRESENT, EMPTY, UNKNOWN_ENTITY, DEFAULTED, ERROR, STALE or LOST."""
        return pa.table({o.column.name: pa.array([_STATUSES.get(s, str(s)) for s in o.statuses]) for o in self._answer.outputs})

    @cached_property
    def reasons(self) -> pa.Table:
        """The status that DEFAULTED or STALE replaces; null for other statuses."""

        def named(o: Any) -> pa.Array:
            if not o.reasons:
                return pa.nulls(len(self), pa.string())
            return pa.array([_STATUSES.get(s) if s else None for s in o.reasons], type=pa.string())

        return pa.table({o.column.name: named(o) for o in self._answer.outputs})


class Client:
    """A connection to one server. It is thread-safe; close it, or use it as a context manager.

    Args:
        url: address of the server, like ``http://127.0.0.1:7171``, or ``https://…`` for TLS.
        token: sent as ``Authorization: Bearer …`` with every call.
        ca_certificates: PEM with the certificate authorities to trust instead of the system's.
        client_certificate: PEM of a certificate and of its key, for servers that require one.
        timeout: default time limit of a call, in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca_certificates: bytes | None = None,
        client_certificate: tuple[bytes, bytes] | None = None,
        timeout: float = 30.0,
    ) -> None:
        parts, target = _address(url)
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise UnskewError("the token has a space, a line break or another character that no token has; give the line that `unskew token` prints")
        options = [("grpc.service_config", _SERVICE_CONFIG), ("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
        if parts.scheme == "https":
            certificate, key = client_certificate or (None, None)
            credentials = grpc.ssl_channel_credentials(ca_certificates, key, certificate)
            self._channel = grpc.secure_channel(target, credentials, options)
        else:
            if token and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
                raise UnskewError(f"a token is not sent to {url} without TLS; use https")
            self._channel = grpc.insecure_channel(target, options)
        self._url = url
        self._timeout = timeout
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._services: dict[str, Service] = {}
        self._calls: dict[str, Callable[..., Any]] = {}
        self._requests: dict[str, Any] = {}
        for service in ("FeatureService", "IngestService", "TrainingService", "ParityService"):
            for method in wire.methods(service):
                self._requests[method.name] = method.request
                self._calls[method.name] = getattr(self._channel, method.kind)(
                    method.path, request_serializer=method.request.SerializeToString, response_deserializer=method.response.FromString
                )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    def _call(self, name: str, request: Any, timeout: float | None, metadata: Sequence[tuple[str, str]] = ()) -> Any:
        try:
            return self._calls[name](request, timeout=timeout or self._timeout, metadata=[*self._metadata, *metadata])
        except grpc.RpcError as error:
            raise self._failed(error) from None

    def _failed(self, error: Any) -> ServerError:
        """Converts the error of a call to one of this package."""
        code = error.code().name.lower()
        said = error.details() or code
        if code == "unavailable":
            said = f"the server at {self._url} is not available: {said}"
            if _speaks_tls(self._url):
                said = f"the server at {self._url} speaks TLS: use {self._url.replace('http', 'https', 1)}"
        return server_error("canceled" if code == "cancelled" else code, said)

    def list_services(self, *, timeout: float | None = None) -> list[Service]:
        """The feature services by name, without their columns."""
        answer = self._call("ListServices", self._requests["ListServices"](), timeout)
        return [Service(s.name, s.fingerprint, s.description) for s in answer.services]

    def describe(self, service: str, *, timeout: float | None = None) -> Service:
        """What a feature service takes and returns."""
        a = self._call("DescribeService", self._requests["DescribeService"](service=service), timeout)
        described = Service(
            a.name,
            a.fingerprint,
            a.description,
            keys={f.name: f.type for f in a.keys},
            request={f.name: f.type for f in a.request},
            features={o.name: o.type for o in a.outputs},
        )
        self._services[service] = described
        return described

    def get_online_features(
        self,
        service: str,
        entities: Frame,
        *,
        features: Sequence[str] | None = None,
        fingerprint: str | None = None,
        max_staleness: timedelta | float | None = None,
        on_stale: Literal["error", "status"] = "error",
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> OnlineFeatures:
        """Reads the features of a service, all rows as of one moment.

        Args:
            service: name of the feature service.
            entities: one row for each answer, with the keys of the service and its request fields as columns.
            features: the features to return, in this order; all by default.
            fingerprint: fail unless the service has this fingerprint, that of the training set the model was
                trained on (at least its first twelve digits).
            max_staleness: the staleness to accept, in seconds or as a timedelta: the age of the oldest event
                that may be missing in the values.
            on_stale: what happens to staler values: ``"error"`` raises, ``"status"`` returns them with the status STALE.
            request_id: an id for the request: 1 to 128 printable ASCII characters without spaces; a new one by default.
            timeout: seconds the call may take.

        Raises:
            InvalidArgument: a column is missing, unknown or of another type.
            FailedPrecondition: another version of the service is live, or a value is staler than ``max_staleness``.
        """
        if on_stale not in ("error", "status"):
            raise InvalidArgument(f'on_stale is {on_stale!r}; it is "error" or "status"')
        fresh: dict[str, Any] = {"with_freshness": True}
        if max_staleness is not None:
            if not isinstance(max_staleness, timedelta):
                max_staleness = timedelta(seconds=max_staleness)
            if max_staleness <= timedelta(0):
                raise InvalidArgument(f"max_staleness is {max_staleness}; it must be positive")
            fresh |= {"max_staleness_micros": max_staleness // timedelta(microseconds=1), "on_stale": f"ON_STALE_{on_stale.upper()}"}
        table = to_arrow(entities, "entities")
        sent = request_id or uuid.uuid4().hex
        if not (sent.isascii() and sent.isprintable() and " " not in sent and len(sent) <= 128):
            raise InvalidArgument(f"request_id is {sent[:130]!r}; it has 1 to 128 printable ASCII characters without spaces")
        described = self._services.get(service) or self.describe(service, timeout=timeout)
        try:
            return self._get(described, table, features, fingerprint, fresh, sent, timeout)
        except InvalidArgument:
            # The service may have changed since it was described.
            again = self.describe(service, timeout=timeout)
            if again == described:
                raise
            return self._get(again, table, features, fingerprint, fresh, sent, timeout)

    def _get(
        self,
        service: Service,
        table: pa.Table,
        features: Sequence[str] | None,
        fingerprint: str | None,
        fresh: dict[str, Any],
        request_id: str,
        timeout: float | None,
    ) -> OnlineFeatures:
        expected = {**service.keys, **service.request}
        unknown = [c for c in table.column_names if c not in expected]
        missing = [c for c in expected if c not in table.column_names]
        if unknown or missing:
            takes = ", ".join(f"{name} ({kind})" for name, kind in expected.items())
            wrong = [f"has no column {_names(missing)}"] if missing else []
            wrong += [f"has {_names(unknown)}, which the service does not take"] if unknown else []
            raise InvalidArgument(f"service {service.name}: entities {' and '.join(wrong)}; it takes {takes}")
        request = self._requests["GetFeatures"](service=service.name, features=features or [], fingerprint=fingerprint or "", **fresh)
        for names, columns in ((service.keys, request.keys), (service.request, request.request)):
            for name, kind in names.items():
                columns.append(wire.column(name, table.column(name), kind, f"service {service.name}"))
        return OnlineFeatures(self._call("GetFeatures", request, timeout, [("x-request-id", request_id)]), table, request_id)

    def push(self, source: str, rows: Frame, *, batch_size: int = 5000, timeout: float | None = None) -> PushResult:
        """Appends rows to a stream source and returns the outcome of each.

        An invalid row is not an error but has the outcome REJECTED. After an
        error the outcome of the rows is unknown; pushing them again is safe for a source with an event id.

        Args:
            source: name of the source.
            rows: columns of the source with their declared types; omitted ones are null.
            batch_size: rows sent with one call.
            timeout: seconds each call may take.
        """
        return self._push(source, to_arrow(rows, "rows"), batch_size, timeout, attempts=1)

    def _push(self, source: str, table: pa.Table, batch_size: int, timeout: float | None, attempts: int) -> PushResult:
        pushed: list[PushedRow] = []
        for batch in _slices(table, batch_size):
            request = self._requests["Push"](source=source)
            for name in batch.column_names:
                if not pa.types.is_null(batch.schema.field(name).type):
                    request.columns.append(wire.column(name, batch.column(name), None, f"source {source}"))
            answer = self._repeated("Push", request, timeout, attempts)
            pushed += [PushedRow(Outcome(r.outcome), r.position, r.message, r.shard) for r in answer.rows]
        return PushResult(tuple(pushed))

    def _repeated(self, name: str, request: Any, timeout: float | None, attempts: int) -> Any:
        """A call that is made again while the server is not available, after pauses of random length."""
        pause = 0.05
        while True:
            try:
                return self._call(name, request, timeout)
            except Unavailable:
                attempts -= 1
                if not attempts:
                    raise
            time.sleep(random.uniform(0, pause))
            pause = min(2 * pause, 1.0)

    def log_predictions(
        self,
        service: str,
        predictions: Frame,
        *,
        answer: OnlineFeatures | str | None = None,
        model: str | None = None,
        at: datetime | None = None,
        batch_size: int = 5000,
        timeout: float | None = None,
    ) -> PushResult:
        """Logs what a model predicted from answers of a service, which declares the columns under ``predictions:``.

        Logging the same again has no effect: the outcome is DUPLICATE, or CONFLICT if a value or the time is another
        one than at first, which stays. Calls that get no answer are repeated.

        Args:
            service: name of the feature service.
            predictions: the declared columns. Without ``answer``, also ``request_id`` and, unless it is 0, ``request_row``.
            answer: the features that the model was given, or their ``request_id``: the predictions are those of its rows, in order.
            model: name and version of the model, unless that is a column.
            at: when the predictions were made, unless ``predicted_at`` is a column; now by default.
            batch_size: rows sent with one call.
            timeout: seconds each call may take.
        """
        request_id = answer.request_id if isinstance(answer, OnlineFeatures) else answer
        table = feedback.predictions(predictions, request_id, model, at)
        if isinstance(answer, OnlineFeatures) and len(table) != len(answer) and "request_row" not in to_arrow(predictions, "predictions").column_names:
            raise InvalidArgument(f"there are {len(table)} predictions for the {len(answer)} rows of the answer")
        return self._push(f"{service}_predictions", table, batch_size, timeout, attempts=4)

    def log_outcomes(
        self, service: str, outcomes: Frame, *, at: datetime | None = None, batch_size: int = 5000, timeout: float | None = None
    ) -> PushResult:
        """Logs what came of requests to a service, which declares the columns under ``outcomes:``.

        A column that is null or left out can be filled by a later call with the same ``observed_at``. Logging the
        same again has no effect, as with :meth:`log_predictions`.

        Args:
            service: name of the feature service.
            outcomes: the declared columns, with ``request_id`` and, unless it is 0, ``request_row``.
            at: when the outcomes came about, unless ``observed_at`` is a column; now by default.
            batch_size: rows sent with one call.
            timeout: seconds each call may take.
        """
        return self._push(f"{service}_outcomes", feedback.outcomes(outcomes, at), batch_size, timeout, attempts=4)

    def explain(
        self,
        feature: str,
        key: Mapping[str, Any] | None = None,
        *,
        at: str | datetime | None = None,
        request: str | None = None,
        row: int = 0,
        events: int = 20,
        timeout: float | None = None,
    ) -> Explanation:
        """Shows how a value came about: the events that are in it, those that are left out and why, in training and in serving.

        The server reads the history for it. The caller needs the role ``admin``, since events are shown.

        Args:
            feature: ``"VIEW.FEATURE"``; with ``request``, also as a service names it, ``"ROLE.FEATURE"``.
            key: of the entity, like ``{"customer_id": 3}``.
            at: as of this time instead of now; there is nothing to compare with then.
            request: instead of a key, the id of a request whose answer is in the served log.
            row: of that request.
            events: how many events to list, at most 1000; all are counted.
            timeout: seconds the call may take; the server takes at most 30.

        Raises:
            NotFound: the view, the feature or the recorded request does not exist.
            InvalidArgument: a key is unknown, missing or not of its type.
            ResourceExhausted: another explanation is being made.
        """
        if not 0 <= row < 2**32 or not 0 <= events < 2**32:
            raise InvalidArgument(f"row {row} or events {events} is out of range")
        ask = self._requests["Explain"](feature=feature, keys=key_texts(key), request_id=request or "", row=row, events=events)
        if at is not None:
            moment = datetime.fromisoformat(at.replace("Z", "+00:00")) if isinstance(at, str) else at
            since = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) - _EPOCH
            ask.as_of_micros = since // timedelta(microseconds=1)
        return explanation(json_format.MessageToDict(self._call("Explain", ask, timeout), preserving_proto_field_name=True))

    def get_training_set(
        self,
        name: str | None = None,
        spine: Frame | None = None,
        *,
        service: str | None = None,
        time: str | None = None,
        label: str | None = None,
        label_known_at: str | None = None,
        spine_from: str | None = None,
        with_status: bool = False,
        as_of: Literal["known", "ledger", "final"] | None = None,
        id: str | None = None,
        progress: bool = True,
    ) -> RemoteTrainingSet:
        """Lets the server build a training set, waits for it, and returns it; its rows are streamed on demand.

        Either ``name`` is a TrainingSet of the project, or ``service`` is a feature service and ``spine``
        the rows to predict, with the keys, the request fields and ``time``. An interrupt cancels the
        training set, unless it was given an id.

        Args:
            name: a TrainingSet of the project.
            spine: a frame or an Arrow table. Times with a zone keep their instant, those without are taken as
                UTC, which a NaiveTimeWarning says.
            service: the feature service, with ``spine``.
            time: the spine's column with the time to compute features as of.
            label: the spine's column with the label.
            label_known_at: the spine's column with the time the label was known.
            spine_from: a file on the server, relative to the project, instead of ``spine``.
            with_status: also give the status of every value.
            as_of: ``"known"``, as the definitions say that serving knows events; ``"ledger"``, as servers recorded that it did; or ``"final"``, as they turned out, to measure the difference. By default as the training set says, or known.
            id: makes the call idempotent: the same id returns the same training set.
            progress: print progress to standard error.
        """
        request = self._requests["CreateTrainingSet"](
            id=id or uuid.uuid4().hex,
            training_set=name or "",
            service=service or "",
            spine=self._upload(spine) if spine is not None else "",
            spine_from=spine_from or "",
            time=time or "",
            label=label or "",
            label_known_at=label_known_at or "",
            with_status=with_status,
            final=as_of == "final",
            ledger=as_of == "ledger",
        )
        try:
            made = self._wait(self._call("CreateTrainingSet", request, None).training_set, progress)
        except BaseException:
            if id is None:
                with contextlib.suppress(ServerError):  # which would hide why it is canceled
                    self.cancel_training_set(request.id, timeout=_CANCEL)
            raise
        return RemoteTrainingSet(made.id, json.loads(made.manifest), self._stream_part, json.loads(made.report or "{}"))

    def list_training_sets(self, *, timeout: float | None = None) -> list[dict[str, Any]]:
        """The training sets stored on the server, newest first: id, state, phase, error."""
        answer = self._call("ListTrainingSets", self._requests["ListTrainingSets"](), timeout)
        return [{"id": s.id, "state": _TRAINING_STATES[s.state], "phase": s.phase, "error": s.error} for s in answer.training_sets]

    def cancel_training_set(self, id: str, *, timeout: float | None = None) -> None:
        """Cancels a waiting or running training set."""
        self._call("CancelTrainingSet", self._requests["CancelTrainingSet"](id=id), timeout)

    def _upload(self, spine: Frame) -> str:
        table = times_in_utc(to_arrow(spine, "spine"), "spine")
        return str(self._call("UploadSpine", map(lambda data: self._requests["UploadSpine"](data=data), _ipc_chunks(table)), _HOURS).spine)

    def _wait(self, made: Any, progress: bool) -> Any:
        """Polls until the training set has ended, often at first."""
        pause, line = 0.02, ""
        while True:
            state = _TRAINING_STATES[made.state]
            if progress and (now := _progress_line(made, state)) != line:
                line = now
                print(line, file=sys.stderr, flush=True)
            if state == "SUCCEEDED":
                return made
            if state == "FAILED":
                raise TrainingSetFailed(f"training set {made.id[:12]} failed: {made.error}")
            if state == "CANCELED":
                raise Canceled(f"training set {made.id} was canceled")
            time.sleep(pause)
            pause = min(pause * 1.5, 1.0)
            made = self._state_of(made.id)

    def _state_of(self, id: str) -> Any:
        """A training set on the server. A server that is being restarted is waited for: it goes on with what it had begun."""
        until = time.monotonic() + _RESTART
        while True:
            try:
                return self._call("GetTrainingSet", self._requests["GetTrainingSet"](id=id), None).training_set
            except Unavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(1.0)

    def _stream_part(self, id: str, part: str) -> pa.Table:
        """All rows of a part; if the connection breaks, the stream resumes after the last complete batch."""
        batches: list[pa.RecordBatch] = []
        rows, attempts = 0, 0
        while True:
            stream = self._calls["ReadTrainingSet"](
                self._requests["ReadTrainingSet"](id=id, part=part, from_row=rows), timeout=_HOURS, metadata=self._metadata
            )
            try:
                with pa.ipc.open_stream(_Chunks(stream)) as reader:
                    for batch in reader:
                        batches.append(batch)
                        rows += batch.num_rows
                        attempts = 0
                    return pa.Table.from_batches(batches, schema=reader.schema)
            except grpc.RpcError as error:
                attempts += 1
                failed = self._failed(error)
                if not isinstance(failed, Unavailable) or attempts > _READ_ATTEMPTS:
                    raise failed from None
                time.sleep(0.1 * 2**attempts)
            finally:
                stream.cancel()


_HOURS = 24 * 3600.0
_RESTART = 60.0
_CANCEL = 10.0
_READ_ATTEMPTS = 5
_CHUNK = 256 << 10


def _address(url: str) -> tuple[SplitResult, str]:
    """The parts of a server's URL, and its address as gRPC takes it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UnskewError(f"server address {url!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UnskewError(f"server address {url!r} is not a URL such as http://127.0.0.1:7171")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise UnskewError(f"server address {url!r} has more than a host and a port, which are all that gRPC takes")
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    return parts, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _speaks_tls(url: str) -> bool:
    """Whether a server that is called without TLS speaks TLS. To gRPC it only closes the connection; to HTTP it says so."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return False
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=1)
    try:
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        return answer.status == 400 and answer.read(64).startswith(b"Client sent an HTTP request to an HTTPS server")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _progress_line(made: Any, state: str) -> str:
    """The progress of a training set as a line that changes only when needed."""
    if state != "RUNNING" or not made.phase:
        return f"training set {made.id[:12]}: {state.lower()}"
    line = f"training set {made.id[:12]}: {made.phase}"
    return line if not made.total else f"{line}, {100 * made.done // made.total // 10 * 10} %"


def _ipc_chunks(table: pa.Table) -> Iterator[bytes]:
    """The table as an Arrow IPC stream, in chunks."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=64 << 10)
    whole = sink.getvalue()
    for start in range(0, whole.size, _CHUNK):
        yield whole.slice(start, min(_CHUNK, whole.size - start)).to_pybytes()


class _Chunks:
    """A file object that reads the chunks of a stream."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        wanted = size if size >= 0 else sys.maxsize
        while wanted:
            if not self._rest:
                chunk = next(self._stream, None)
                if chunk is None:
                    break
                self._rest = chunk.data
            parts.append(self._rest[:wanted])
            self._rest = self._rest[wanted:]
            wanted -= len(parts[-1])
        return b"".join(parts)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def _slices(table: pa.Table, size: int) -> Iterator[pa.Table]:
    for start in range(0, len(table), size):
        yield table.slice(start, size)


def _names(names: list[str]) -> str:
    return ", ".join(f'"{n}"' for n in names)
