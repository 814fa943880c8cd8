"""Rows for the tests of what is read back: stored by the farm's own write path, from texts.

Deliberately not here: reading. Invariant: a value's text goes into the CSV unchanged, so a test knows every digit.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from models import Series
from models.partitions import ensure_partitions
from models.upsert import Written, copy_columns, stage, write_staged

START = datetime(2024, 3, 31, 23, 50, tzinfo=UTC)
OBSERVED = datetime(2024, 5, 1, tzinfo=UTC)
_PLAIN = {
    "bars": {"open": "1.10", "high": "1.30", "low": "0.90", "close": "1.20", "volume": "7", "is_final": "t"},
    "trades": {"price": "1.10", "size": "0.5", "side": "buy"},
    "quotes": {"bid": "1.10", "ask": "1.11"},
    "books": {"bid_prices": "{1.1,1.0}", "bid_sizes": "{3,4}", "ask_prices": "{1.2}", "ask_sizes": "{5}"},
    "news": {"title": 'A, "title"', "url": "https://example.com", "instruments": "{AAPL,MSFT}", "sentiment": "0.10"},
    "observations": {"vintage": "2024-05-01", "vintage_given": "t", "value": "1.10"},
    "posts": {"text": "A\ntext", "instruments": "{}", "likes": "3"},
    "actions": {"kind": "split", "action_id": "regular", "split_from": "1", "split_to": "4"},
}
#: Keys that hold no time, or are whole numbers.
_NUMBERED = {"trades": "trade_id", "news": "article_id", "posts": "post_id"}


def write(session: Session, dataset: str, csv_rows: bytes) -> Written:
    """Store rows as a fetch's transaction does. Repeating it changes nothing."""
    stage(session, dataset, io.BytesIO(csv_rows))
    return write_staged(session, dataset)


def add_series(
    sessions: sessionmaker[Session],
    instrument: str = "BTC-USDT",
    *,
    provider: str = "binance",
    dataset: str = "bars",
    interval: str | None = None,
) -> int:
    """Make a series and return its id; bars have one minute unless it is said."""
    width = interval if interval is not None else "1m" if dataset == "bars" else ""
    with sessions.begin() as session:
        series = Series(provider=provider, dataset=dataset, instrument=instrument, interval=width)
        session.add(series)
        session.flush()
        return series.id


def rows_of(dataset: str, count: int, **changes: Any) -> list[dict[str, Any]]:
    """Return rows a minute apart, from ten minutes before a month (and a partition) ends."""
    rows = [_PLAIN[dataset] | {"ts": START + timedelta(minutes=at)} | changes for at in range(count)]
    name = _NUMBERED.get(dataset)
    return rows if name is None else [row | {name: 1000 + at} for at, row in enumerate(rows)]


def keep(sessions: sessionmaker[Session], dataset: str, series_id: int, rows: Iterable[Mapping[str, Any]]) -> None:
    """Store the rows, with the partitions they need."""
    full = [{"observed_at": OBSERVED, "job_id": 1} | dict(row) | {"series_id": series_id} for row in rows]
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for row in full:
        writer.writerow([_cell(row.get(name)) for name in copy_columns(dataset)])
    with sessions.begin() as session:
        ensure_partitions(session, dataset, min(row["ts"] for row in full), max(row["ts"] for row in full))
        write(session, dataset, buffer.getvalue().encode())


def _cell(value: Any) -> str:
    return "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)
