"""Play a provider against its dialect in this process: an example copied page by page, an error and what it leads to.

Deliberately not here: keys (keyless providers only), sockets and tables (tests/conformance). Invariant: the expected
rows are the dialect's own, and compared to the last digit of their numbers and times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sandbox.contract
from ingest.errors import FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.providers.contract import Query
from ingest.wire import Answer
from sandbox.contract import ErrorCase, Example, placed
from sandbox.faults import Faults

NOW = datetime(2026, 11, 23, 2, 37, 20, 512_000, UTC)
#: The error each decision stands for here.
KINDS: dict[str, type[TickfarmError] | None] = {
    "again": TryAgain, "wait": SlowDown, "quota": SlowDown, "key": KeyRefused, "plan": FixRequest,
    "request": FixRequest, "unknown": UnknownName, "nothing": None,
}  # fmt: skip
_PER_S = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def query_of(example: Example) -> Query:
    """Return the query that asks for the example, which has its dates."""
    start, end = (datetime.fromisoformat(text) if text else None for text in (example.start, example.end))
    return Query(example.dataset, (example.instrument,), example.interval or None, start, end)


def expected_rows(dialect: Any, example: Example) -> list[dict[str, str | None]]:
    """Return the rows that a whole copy holds."""
    return dialect.rows(placed(example, NOW.timestamp()), now_s=NOW.timestamp())


def copied_rows(provider: Any, dialect: Any, example: Example) -> tuple[list[dict[str, Any]], int]:
    """Return what the provider makes of all pages, oldest first and without the instrument, and how many there were.

    A row's time is left out where the provider dates nothing, else it is counted in nanoseconds.
    """
    query = query_of(placed(example, NOW.timestamp()))
    rows, count, left = [], 0, provider.build(query)
    while left:
        count += 1
        answer = _send(dialect, left.pop(0))
        assert provider.error_of(answer) is None, answer.body
        parsed = provider.parse(query, answer)
        assert parsed.rejects == ()
        for values in zip(*parsed.columns.values(), strict=True):
            row = dict(zip(parsed.columns, values, strict=True))
            assert row.pop("instrument") == example.instrument
            ts = row.pop("ts")
            rows.append(row if ts is None else row | {"ts": ts * (_PER_S["ns"] // _PER_S[parsed.time_unit])})
        following = provider.next_page(answer.request, answer)
        left += [] if following is None else [following]
    return sorted(rows, key=lambda row: (row.get("ts", 0), int(row.get("trade_id", 0)))), count


def with_counted_times(rows: Sequence[dict[str, str | None]]) -> list[dict[str, Any]]:
    """Return the rows with their times counted in nanoseconds."""
    return [row | {"ts": _ns(row["ts"])} if "ts" in row else row for row in rows]


def error_led_to(provider: Any, dialect: Any, case: ErrorCase) -> TickfarmError | None:
    """Return what the provider reads out of the answer that the case's example gets; its fault must have fired."""
    (request,) = provider.build(query_of(placed(case.example, NOW.timestamp())))
    return provider.error_of(_send(dialect, request, fault=case.fault))


def _send(dialect: Any, request: Any, fault: Any = None) -> Answer:
    asked = sandbox.contract.Request(
        request.path, dict(request.params), {"user-agent": "tests"}, "127.0.0.1", NOW.timestamp()
    )
    said = dialect.answer(asked)
    said = said if isinstance(said, sandbox.contract.Answer) else said()
    if fault:
        faults = Faults()
        faults.arm({"provider": "it", **fault}, {"it": dialect})
        said = faults.deliver(said, asked, provider="it", query="", dialect=dialect).answer
        assert faults.shown()[0]["fired"] == 1
    return Answer(request, said.status, {name.lower(): value for name, value in said.headers}, said.body, NOW, NOW)


def _ns(moment: str) -> int:
    """Count an ISO moment of any precision."""
    whole, fraction = re.fullmatch(r"([^.]*?)(\.\d+)?Z", moment).groups()
    return int(datetime.fromisoformat(f"{whole}Z").timestamp()) * _PER_S["ns"] + int(Decimal(fraction or 0) * 10**9)
