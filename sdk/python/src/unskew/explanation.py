"""How the value of a feature came about."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .errors import InvalidArgument


@dataclass(frozen=True)
class ExplainedValue:
    """A value as one side has it. Two are equal if they have the same bits and status."""

    value: str
    bits: str
    status: str
    reason: str = ""  #: of a default: the status that it replaced

    def __str__(self) -> str:
        return f"{self.value} ({self.status}{f': {self.reason}' if self.reason else ''})"


@dataclass(frozen=True, repr=False)
class Explanation:
    """How the value of a feature came about."""

    view: str
    feature: str
    expr: str  #: of the parts A, B, …
    entity: str
    as_of: str
    training: ExplainedValue  #: over all events that are known now
    replayed: ExplainedValue | None  #: over the events that serving had; None if there is nothing to compare with
    served: ExplainedValue | None
    parts: tuple[dict[str, Any], ...]  #: each aggregate over its window, with how many events are in it, and why others are not
    events: tuple[dict[str, Any], ...]  #: what each part makes of the events that tell most
    total: int  #: events of the entity
    type: str = ""
    defined: str = ""  #: file:line:column
    version: str = ""  #: fingerprint of the view
    lost: bool = False  #: the entity's state is lost or damaged
    error: str = ""  #: of the expression
    note: str = ""  #: why there is nothing to compare with, or only a part

    def __str__(self) -> str:
        served = f", served {self.served}" if self.served else ""
        return f"{self.view}.{self.feature} of {self.entity} as of {self.as_of}: {self.training}{served}"

    def __repr__(self) -> str:
        return f"Explanation({self})"

    def text(self) -> str:
        """Everything, as a text with a line for each value, part and event."""
        lines = [f"{self.view}.{self.feature} = {self.expr}", f"{self.entity} as of {self.as_of}", ""]
        sides = (("training: all events that are known now", self.training), ("replayed: the events that serving had", self.replayed), ("served", self.served))
        lines += [f"{name}: {value}" for name, value in sides if value]
        lines += [line for line in (self.error, self.note) if line]
        for p in self.parts:
            out = "".join(f", {n:,} {why}" for why, n in sorted(p.get("left_out", {}).items()))
            over = f"over {p['window']}, from {p['from']}" if p.get("from") else "over all events"
            lines += ["", f"{p['name']}  {p['call']} {over}", f"   {ExplainedValue(**p['training'])}: {p['used']:,} of {self.total:,} events{out}"]
        if self.events:
            lines.append("")
        for e in self.events:
            uses = (f"{p['name']}: {_use(use, 'used')}" for p, use in zip(self.parts, e.get("parts", ())))
            lines.append("  ".join([e["time"], e.get("id", ""), *uses, *([f"<- {e['side']}"] if e.get("side") else [])]))
        if self.total > len(self.events):
            lines.append(f"and {self.total - len(self.events):,} more")
        return "\n".join(lines)

    def to_pandas(self) -> Any:
        """The events as a pandas frame: a row for each, and a column for each part with the value that it uses or why it uses none."""
        import pandas as pd

        rows = []
        for e in self.events:
            row = {"time": e["time"], "known_at": e["known_at"], "id": e.get("id"), "side": e.get("side", "")}
            for part, use in zip(self.parts, e.get("parts", ())):
                row[part["name"]] = _use(use, "used")
            rows.append(row)
        columns = ["time", "known_at", "id", "side", *(part["name"] for part in self.parts)]
        return pd.DataFrame(rows, columns=columns).astype({"time": "datetime64[us, UTC]", "known_at": "datetime64[us, UTC]"})


def _use(use: dict[str, Any], otherwise: str) -> str:
    return str(use.get("left_out") or use.get("value") or otherwise)


def explanation(e: dict[str, Any]) -> Explanation:
    """An explanation from its JSON, which the command and the server write with the same names; empty members may be left out."""

    def value(side: str) -> ExplainedValue | None:
        return ExplainedValue(**e[side]) if side in e else None

    training = value("training") or ExplainedValue("", "", "")
    names = ("type", "defined", "version", "lost", "error", "note")
    return Explanation(
        e["view"], e["feature"], e["expr"], e["entity"], e["as_of"], training, value("replayed"), value("served"),
        tuple({"used": 0, **part} for part in e.get("parts", ())), tuple(e.get("events", ())), e.get("total", 0), **{name: e[name] for name in names if name in e},
    )  # fmt: skip


def rfc3339(t: datetime) -> str:
    """A time as flags take it; without a zone it is UTC."""
    return (t if t.tzinfo else t.replace(tzinfo=timezone.utc)).isoformat()


def key_texts(key: Mapping[str, Any] | None) -> dict[str, str]:
    """Keys as the texts that flags and requests have."""

    def text(name: str, v: Any) -> str:
        if v is None:
            raise InvalidArgument(f"key {name} is None; an entity has all of its keys")
        if isinstance(v, bool):
            return str(v).lower()
        if isinstance(v, bytes):
            return base64.b64encode(v).decode()
        return rfc3339(v) if isinstance(v, datetime) else str(v)

    return {name: text(name, v) for name, v in (key or {}).items()}
