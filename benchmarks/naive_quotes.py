"""What most projects start with: a Celery task a request, stock settings, requests, pybreaker's breaker in Redis.

Deliberately not here: anything of the farm but its `quotes` table. Invariant: it is written as it is found in the wild,
idempotent, and not slowed down on purpose.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pybreaker
import requests
from celery import Celery
from redis import Redis
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import sessionmaker

from models import Quote

app = Celery("naive_quotes", broker=os.environ.get("NAIVE_BROKER_URL"))
_engine = create_engine(os.environ.get("NAIVE_DATABASE_URL", "postgresql+psycopg2://"))
_sessions = sessionmaker(_engine)
# As its documentation shows it. Source: https://github.com/danielfm/pybreaker#using-redis, 2026-11-24
_storage = pybreaker.CircuitRedisStorage(
    pybreaker.STATE_CLOSED, Redis.from_url(os.environ.get("NAIVE_BROKER_URL", "redis://"))
)
_breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30, state_storage=_storage)


@app.task  # type: ignore[untyped-decorator]  # Celery has no types
def fetch(url: str, series_id: int) -> None:
    """Fetch one ticker behind the breaker and upsert it."""
    ticker = _breaker.call(_get, url)
    now = datetime.now(UTC)
    row = {
        "series_id": series_id,
        "ts": now,
        "bid": Decimal(ticker["bid"]),
        "ask": Decimal(ticker["ask"]),
        "last": Decimal(ticker["price"]),
        "observed_at": now,
        "job_id": 0,
    }
    with _sessions.begin() as session:
        session.execute(insert(Quote).values(row).on_conflict_do_nothing())


def _get(url: str) -> Any:
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    return answer.json()
