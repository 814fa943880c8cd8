"""What FMP's answers have in common: a list of objects, dates and New York's times, the asked symbol, the window.

Deliberately not here: what the objects mean (prices.py, facts_rows.py). Invariant: only rows beyond the asked window
are left out, because dates are all that can be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ingest.errors import BadData
from ingest.market.records import Parsed, Reject
from ingest.market.times import epoch_us, first_date
from ingest.providers import answers
from ingest.providers.fmp_parts.symbols import PROVIDER
from ingest.wire import Answer

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)

Row = tuple[Any, ...]


def bad_page(expected: str, answer: Answer) -> BadData:
    """Return the error for an answer that is no page: what was expected of it."""
    said = f"{PROVIDER} sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=PROVIDER, status=answer.status)


def list_of(page: Any, answer: Answer) -> list[Any]:
    """Return the rows of a page: a list, or the legacy addresses' `{"symbol":.., "historical":[..]}`."""
    rows = page.get("historical") if type(page) is dict else page
    if type(rows) is not list:
        raise bad_page("a list of objects", answer)
    return rows


def parsed(unit: Any, rejects: Sequence[Reject], names: Sequence[str], rows: Sequence[Row]) -> Parsed:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return Parsed({name: list(values) for name, values in zip(names, columns, strict=True)}, unit, tuple(rejects))


def own(rows: list[Row], symbol: str) -> tuple[list[Row], tuple[Reject, ...]]:
    """Return the rows without their last cell, the symbol, and a Reject for each of another one's."""
    native, reason = (None, symbol), "expected the asked symbol"
    foreign = tuple(answers.reject(r, rule="unknown_symbol", reason=reason) for r in rows if r[-1] not in native)
    return [row[:-1] for row in rows if row[-1] in native], foreign


def moment_of(text: Any, zone: ZoneInfo) -> int | None:
    """Return the seconds of a local time; of the hour that comes twice in autumn it is the first."""
    if not matches(_LOCAL, text):
        return None
    try:
        local = datetime.fromisoformat(text)
        return epoch_us(local.replace(tzinfo=zone).astimezone(UTC)) // 1_000_000
    except (ValueError, OverflowError):
        return None


def matches(pattern: re.Pattern[str], text: Any) -> bool:
    return type(text) is str and pattern.fullmatch(text) is not None


def has_all(row: Any, names: Sequence[str]) -> bool:
    return type(row) is dict and all(name in row for name in names)


def of_dates(rows: list[Row], answer: Answer) -> list[Row]:
    """Leave out the dates whose midnight is not in the window."""
    start, end = answer.request.start, answer.request.end
    if start is None or end is None:
        return rows
    first, after = first_date(start).isoformat(), first_date(end).isoformat()
    return [row for row in rows if first <= row[0] < after]


def inside(rows: list[Row], answer: Answer) -> list[Row]:
    """Leave out what is not in the window; the first cells are seconds."""
    start, end = answer.request.start, answer.request.end
    if start is None or end is None:
        return rows
    return [row for row in rows if epoch_us(start) <= row[0] * 1_000_000 < epoch_us(end)]
