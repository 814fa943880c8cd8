"""Answers made by hand, with the moment they were observed at: the clock of the tests that need one.

Deliberately not here: the sandbox, whose clock is the machine's.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from ingest.payloads import StoredAnswer
from ingest.wire import Answer, Request

OPEN = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)


def answer(request: Request, body: bytes, *, at: datetime = OPEN + timedelta(days=1)) -> StoredAnswer:
    """Return a good answer to the request, sent at that moment."""
    return StoredAnswer(Answer(request, 200, {}, body, sent_at=at, received_at=at + timedelta(milliseconds=5)))


def kline(open_time: datetime = OPEN, **fields: str) -> list[object]:
    """Return a row of Binance's klines, as its documentation shows it."""
    values = {"open": "1.10", "high": "2.00", "low": "0.50", "close": "1.50", "volume": "10"} | fields
    opened = int(open_time.timestamp() * 1000)
    prices = [values[name] for name in ("open", "high", "low", "close", "volume")]
    return [opened, *prices, opened + 59_999, "15.0", 7, "5", "7.5", "0"]


def klines(*rows: list[object]) -> bytes:
    """Return a page of them."""
    return json.dumps(rows).encode()
