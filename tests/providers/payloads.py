"""The documented payloads as answers. Not here: answers of the sandbox. Invariant: no clock, every answer has T0."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ingest.wire import Answer, Request

T0 = datetime(2024, 10, 1, tzinfo=UTC)
FOLDER = Path(__file__).parent.parent / "payloads"


def payload(provider, name):
    return (FOLDER / provider / f"{name}.json").read_bytes()


def answer(body, *, status=200, instruments=("BTC-USDT",), params=(), headers=None):
    body = body if isinstance(body, bytes) else body.encode()
    return Answer(Request("/", params, (), instruments), status, headers or {}, body, T0, T0)
