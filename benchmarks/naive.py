"""What most projects start with: a Celery task per request, stock settings, requests, SQLAlchemy upserts of dicts.

Deliberately not here: anything of the farm but its `bars` table. Invariant: it is written as it is found in the wild,
idempotent, and not slowed down on purpose.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import requests
from celery import Celery
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import sessionmaker

from models import Bar

app = Celery("naive", broker=os.environ.get("NAIVE_BROKER_URL"))
_engine = create_engine(os.environ.get("NAIVE_DATABASE_URL", "postgresql+psycopg2://"))
_sessions = sessionmaker(_engine)


@app.task  # type: ignore[untyped-decorator]  # Celery has no types
def fetch(url: str, series_id: int) -> None:
    """Fetch one page of klines and upsert it, in the form that SQLAlchemy's documentation gives for upserts.

    Source: https://docs.sqlalchemy.org/en/20/orm/queryguide/dml.html#orm-upsert-statements (`.values([{..}, {..}])`).
    """
    rows = _rows(url, series_id)
    upsert = insert(Bar).values(rows)
    with _sessions.begin() as session:
        session.execute(_on_conflict(upsert, rows))


@app.task  # type: ignore[untyped-decorator]
def fetch_executemany(url: str, series_id: int) -> None:
    """Do the same with the dicts as parameters of one statement (executemany), which SQLAlchemy need not compile."""
    rows = _rows(url, series_id)
    with _sessions.begin() as session:
        session.execute(_on_conflict(insert(Bar), rows), rows)


def _on_conflict(upsert: Insert, rows: list[dict[str, Any]]) -> Insert:
    values = {name: upsert.excluded[name] for name in rows[0] if name not in ("series_id", "ts")}
    return upsert.on_conflict_do_update(index_elements=["series_id", "ts"], set_=values)


def _rows(url: str, series_id: int) -> list[dict[str, Any]]:
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    observed_at = datetime.now(UTC)
    return [_row(kline, series_id, observed_at) for kline in answer.json()]


def _row(kline: list[Any], series_id: int, observed_at: datetime) -> dict[str, Any]:
    return {
        "series_id": series_id,
        "ts": datetime.fromtimestamp(kline[0] / 1000, UTC),
        "open": Decimal(kline[1]),
        "high": Decimal(kline[2]),
        "low": Decimal(kline[3]),
        "close": Decimal(kline[4]),
        "volume": Decimal(kline[5]),
        "quote_volume": Decimal(kline[7]),
        "trade_count": kline[8],
        "is_final": True,
        "observed_at": observed_at,
        "job_id": 0,
    }
