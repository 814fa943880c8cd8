"""Kraken's pages taken apart: the result, what stands under its one pair, the rows that are not asked for.

Deliberately not here: what the fields of a row mean. Invariant: every number is still the text that was sent, and a
page that is none raises BadData.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ingest.errors import BadData
from ingest.providers import answers
from ingest.providers.kraken_parts.pairs import by_any_name
from ingest.wire import Answer

#: How far a row may be dated after our clock and still be one that is only newer than the window. Our choice.
CLOCK_TOLERANCE = timedelta(minutes=1)


def bad_page(expected: str, answer: Answer, *, rule: str = "unparsable_page") -> BadData:
    """Return the error of a page that is none."""
    said = f"kraken sent a page that can't be used: expected {expected}"
    return BadData(said, rule=rule, provider="kraken", status=answer.status)


def result_of(answer: Answer) -> dict[str, Any]:
    """Return the answer's `result`, numbers as text. Raises BadData."""
    body = answers.load("kraken", answer, numbers_as_text=True)
    result = body.get("result") if type(body) is dict else None
    if type(result) is not dict:
        raise bad_page("an object with an object `result`", answer)
    return result


def only_pair(result: Mapping[str, Any], answer: Answer) -> Any:
    """Return what stands under the one pair asked for; `last` beside it is none. Raises BadData for any other pair."""
    pairs = [name for name in result if name != "last"]
    if len(pairs) != 1:
        raise bad_page(f"one pair, found {len(pairs)}", answer)
    if pairs[0] not in by_any_name(answer.request.instruments[:1]):
        raise bad_page("the pair that was asked for", answer, rule="unknown_symbol")
    return result[pairs[0]]


def rows_of(result: Mapping[str, Any], answer: Answer) -> list[Any]:
    """Return the rows of the result's one pair. Raises BadData."""
    rows = only_pair(result, answer)
    if type(rows) is not list:
        raise bad_page(f"a list of rows, found a JSON {type(rows).__name__}", answer)
    return rows


def without_newer(rows: list[tuple[Any, ...]], end: int, late: int) -> list[tuple[Any, ...]]:
    """Cut the rows off the page's end whose time (their first field) is `end` or later, but not later than `late`."""
    kept = next((i for i in reversed(range(len(rows))) if rows[i][0] < end), -1) + 1
    return rows[:kept] + [row for row in rows[kept:] if row[0] > late]
