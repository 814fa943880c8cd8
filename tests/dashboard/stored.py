"""What the data pages are shown: a series of each state, bars with a hole, a correction, findings, jobs, dead letters.

Rows go through the farm's own write path where there are any. Deliberately not here: what the pages say of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy.orm import Session, sessionmaker

from ingest.market.times import midnight
from ingest.pipeline.dead_letters import Letter, write_letter
from models import Finding, Job, LedgerDay, ProviderHold, Series
from tests.stored_rows import keep

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
WHOLE = 1440
#: ledger's state, stored rows -> what the heat-map shows of such a day that is over
SHOWN = {
    ("verified", WHOLE): "complete",
    ("empty_confirmed", 0): "complete",
    ("fetched", 700): "partial",
    ("imported", WHOLE): "partial",
    ("fetched", 0): "missing",
    ("planned", 0): "missing",
    ("suspect", WHOLE): "suspect",
    ("unavailable", 0): "unavailable",
    ("retired", 0): "unavailable",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """The ids of the series: one with bars, shares that trade on weekdays, one that is refused, and one a state."""

    bars: int
    shares: int
    refused: int
    by_state: dict[tuple[str, int], int]
    yesterday: date


def store_everything(sessions: sessionmaker[Session], now: datetime) -> Stored:
    """Fill an empty database."""
    today = now.astimezone(UTC).date()
    with sessions.begin() as session:
        bars = _series(session, "BTC-USDT", now)
        shares = _series(session, "AAPL", now, provider="yahoo", interval="1d")
        refused = _series(session, "GONE-USDT", now)
        session.get_one(Series, refused).refused = "Invalid symbol."
        by_state = {}
        for at, (state, rows) in enumerate(SHOWN):
            by_state[state, rows] = one = _series(session, f"S{at}-USDT", now)
            _day(session, one, today - DAY, state, rows, now)
            _day(session, one, today, "planned", 0, now)
        _others(session, now)
    begin = now.replace(second=0, microsecond=0) - 90 * MINUTE
    keep(sessions, "bars", bars, [_bar(begin + at * MINUTE, at) for at in range(89) if not 40 <= at < 47])
    correction = _bar(begin + 10 * MINUTE, 10) | {"close": "999.5", "high": "1000", "observed_at": now, "job_id": 2}
    keep(sessions, "bars", bars, [correction])
    return Stored(bars, shares, refused, by_state, today - DAY)


def _series(
    session: Session, instrument: str, now: datetime, *, provider: str = "binance", interval: str = "1m"
) -> int:
    since = midnight(now.date() - 40 * DAY)
    made = Series(provider=provider, dataset="bars", instrument=instrument, interval=interval, followed=True)
    made.since = made.planned_from = since
    session.add(made)
    session.flush()
    return made.id


def _day(session: Session, series_id: int, day: date, state: str, stored: int, now: datetime) -> None:
    said = LedgerDay(series_id=series_id, day=day, expected=WHOLE, stored=stored, final=stored, state=state)
    said.job_id, said.payload_key, said.answered_at, said.updated_at = 1, "tickfarm:payload:1:1", now, now
    session.add(said)


def _bar(ts: datetime, at: int) -> dict[str, object]:
    price = 100 + (at * 7 % 13) / 4
    prices = {"open": price, "high": price + 2, "low": price - 1, "close": price + (at % 5) / 2 - 0.75}
    return {"ts": ts, **prices, "volume": "7.25", "is_final": "t", "observed_at": ts + 2 * MINUTE}


def _others(session: Session, now: datetime) -> None:
    asked = {"dataset": "bars", "instruments": ["BTC-USDT"], "interval": "1m"}
    job = Job(key="shown", task="tasks.fetch.binance", lane="live", kwargs=asked, due_at=now, state="done")
    job.finished_at = now
    session.add(job)
    for at, (rule, severity) in enumerate(
        [("null_price", "reject"), ("missing_rows", "warn"), ("null_price", "reject")]
    ):
        found = Finding(job_id=1, provider="binance", dataset="bars", instrument="BTC-USDT", rule=rule, rows=at + 1)
        found.severity, found.reason, found.ts = severity, "the page holds 59 of 60 rows", now - 60 * MINUTE
        found.sample, found.payload_key, found.answer = (
            '[1, "<script>alert(1)</script>"]',
            f"tickfarm:payload:{at}:1",
            0,
        )
        session.add(found)
    write_letter(
        session, Letter("tasks.fetch.kraken", ValueError("it is <b>bad</b>"), {"dataset": "bars"}, task_id="x")
    )
    session.add(ProviderHold(provider="binance", pool="*", kind="manual", reason="its terms changed"))
