"""Reconcile: compare arriving bars with what other providers say of the same instrument, interval and time.

One finding `disagrees` a pair of series and day (daily bars: year) says how many bars differ and shows the worst; it
is kept up to date by whichever side arrives, and ends when a correction brings agreement. Deliberately not here: what
may differ by how much (market/reconcile), the statements (models/agreement). Invariant: all of it happens in the
transaction that stores the bars, and where no second provider has them it costs one short query.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import case, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from ingest import providers
from ingest.market.quality import RULES
from ingest.market.reconcile import Side, Tolerances, compared, span_of
from ingest.settings import Settings
from models import Finding, agreement
from models.agreement import Difference, Disagreement, Other, Pair, Window
from models.upsert import Written, write_staged

log = structlog.get_logger(__name__)
_RULE = "disagrees"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bars that are about to be stored: series by instrument; `first` and `last` of the bars by time."""

    provider: str
    interval: str
    series: Mapping[str, int]
    first: datetime
    last: datetime
    job_id: int
    tolerances: Tolerances


@dataclass(frozen=True, slots=True)
class Rival:
    """A pair of series to compare, and its other side's name."""

    pair: Pair
    against: str
    instrument: str


@dataclass(frozen=True, slots=True)
class Rivals:
    """Whom an arrival is compared with: at least one."""

    arrival: Arrival
    found: Sequence[Rival]


def tolerances_of(config: Settings) -> Tolerances:
    """Return the tolerances that are set."""
    return Tolerances(
        coins=config.tickfarm_tolerance_coins,
        money=config.tickfarm_tolerance_money,
        shares=config.tickfarm_tolerance_shares,
        volume=config.tickfarm_tolerance_volume,
    )


def meet(session: Session, arrival: Arrival | None) -> Rivals | None:
    """Return whom the arrival is compared with, and keep them from storing until this transaction ends; None: nobody.

    Comes before the transaction writes any of what is stored: who waits for a lock must hold no row of a series.
    """
    if arrival is None:
        return None
    others = agreement.others_of(session, arrival.provider, arrival.interval, list(arrival.series))
    if not others:
        return None
    contested = {one.instrument: arrival.series[one.instrument] for one in others}
    adjustments = agreement.lock(session, arrival.interval, contested)
    found = [rival for one in others if (rival := _rival(arrival, adjustments, one)) is not None]
    return Rivals(arrival, found) if found else None


def _rival(arrival: Arrival, adjustments: Mapping[int, str | None], other: Other) -> Rival | None:
    mine = arrival.series[other.instrument]
    ours = Side(arrival.provider, adjustments[mine], _has_venue_volume(arrival.provider))
    theirs = Side(other.provider, other.adjustment, _has_venue_volume(other.provider))
    limits = compared(other.instrument, arrival.interval, ours, theirs, arrival.tolerances)
    if not limits.is_anything:
        return None
    return Rival(Pair(mine, other.id, limits.close, limits.extremes, limits.volume), other.provider, other.instrument)


def _has_venue_volume(provider: str) -> bool:
    """A provider whose file is gone is still in the table: what its volume is, nobody knows any more."""
    return provider not in providers.names() or providers.get(provider).facts.volume == "venue"


def write(session: Session, dataset: str, rivals: Rivals | None, *, read_anew: bool = False) -> Written:
    """Store what is staged (`upsert.write_staged`), and keep the findings about the rivals."""
    windows = [] if rivals is None else _doubtful(session, rivals)
    written = write_staged(session, dataset, read_anew=read_anew)
    if rivals is not None and windows:
        _note(session, rivals, windows)
    return written


def _doubtful(session: Session, rivals: Rivals) -> list[Window]:
    arrival = rivals.arrival
    span = span_of(arrival.interval)
    pairs = [one.pair for one in rivals.found]
    return agreement.doubtful(session, pairs, span=span, first=arrival.first, last=arrival.last)


def _note(session: Session, rivals: Rivals, windows: Sequence[Window]) -> None:
    by_pair = {one.pair: one for one in rivals.found}
    agreed, rows = [], []
    for window, verdict in zip(windows, agreement.judge(session, windows), strict=True):
        if verdict.rows:
            rows.append(_finding(rivals.arrival, by_pair[window.pair], window, verdict))
        else:
            agreed.append(window.name)
    if rows:
        _keep(session, rows)
        log.warning("providers_disagree", provider=rows[0]["provider"], against=rows[0]["against"], findings=len(rows))
    if agreed:
        over = update(Finding).where(Finding.payload_key.in_(agreed), Finding.ended_at.is_(None))
        session.execute(over.values(ended_at=func.now()))


def _keep(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the findings, or say in those that are there what holds now. One that had ended begins anew."""
    told = insert(Finding).values(rows)
    said = {name: told.excluded[name] for name in ("job_id", "ts", "rows", "reason", "sample")}
    at = case((Finding.ended_at.is_(None), Finding.at), else_=func.now())
    session.execute(
        told.on_conflict_do_update(
            index_elements=["payload_key", "answer", "rule", "instrument"],
            set_=said | {"ended_at": None, "at": at},
        )
    )


def _finding(arrival: Arrival, rival: Rival, window: Window, verdict: Disagreement) -> dict[str, Any]:
    """Return the finding: the same from whichever side it is found, the providers in the order of their names."""
    swapped = rival.against < arrival.provider
    names = (rival.against, arrival.provider) if swapped else (arrival.provider, rival.against)
    worst = [(one, (one.other, one.mine) if swapped else (one.mine, one.other)) for one in verdict.worst]
    first, values = worst[0]
    bars = "bar" if verdict.rows == 1 else "bars"
    reason = (
        f"{verdict.rows} {arrival.interval} {bars} in [{window.start:%Y-%m-%d}, {window.end:%Y-%m-%d}) differ, most of"
        f" all {first.column} of {first.ts:%Y-%m-%dT%H:%MZ}: {names[0]} {values[0]}, {names[1]} {values[1]},"
        f" {float(first.share):.2%} (tolerance {float(_tolerance(rival.pair, first)):.2%})"
    )
    return {
        "job_id": arrival.job_id,
        "provider": names[0],
        "against": names[1],
        "dataset": "bars",
        "instrument": rival.instrument,
        "ts": verdict.first,
        "rule": _RULE,
        "severity": RULES[_RULE].severity,
        "rows": verdict.rows,
        "reason": reason,
        "sample": "\n".join(_sample(one, names, values) for one, values in worst),
        "payload_key": window.name,
        "answer": 0,
    }


def _tolerance(pair: Pair, found: Difference) -> Any:
    return {"close": pair.close, "volume": pair.volume}.get(found.column, pair.extremes)


def _sample(found: Difference, names: tuple[str, str], values: tuple[str, str]) -> str:
    row = {"ts": found.ts.isoformat(), "column": found.column, **dict(zip(names, values, strict=True))}
    return json.dumps(row | {"difference": str(found.share)})
