"""What any provider's answer is read for: the HTTP status, Retry-After, whether the body is JSON, its sound rows.

Deliberately not here: a provider's own error bodies and what its fields mean (its file).
Invariant: no word of a body enters a message, since providers echo keys in their errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain
from typing import Any

from ingest.errors import BadData, FixRequest, SlowDown, TryAgain
from ingest.market.records import BOOK_LEVELS, Reject
from ingest.wire import Answer

SLOW_STATUSES = frozenset({429})
#: The server gave up, or may not act on a request it might see twice; both are its moment, not our request.
AGAIN_STATUSES = frozenset({408, 425})
#: Errors are a sentence or two; anything longer is a page.
_ERROR_BYTES = 4096
_ROW_CHARS = 200
#: A price or size as text; a null one is left to the quality rules.
TEXT_OR_NULL = frozenset({str, type(None)})
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_PAIRS = {b"{": b"}", b"[": b"]"}
#: Made once: `json.loads` makes a decoder a call for these, which is a third of what a ticker takes (3.9 to 2.5 us).
_EXACT = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return Retry-After where it is a number of seconds; its HTTP-date form needs a clock and is transport's."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def limit_or_outage(
    provider: str, answer: Answer, *, slow: frozenset[int] = SLOW_STATUSES
) -> SlowDown | TryAgain | None:
    """Return SlowDown (for the statuses in `slow`) or TryAgain where the status alone decides, else None."""
    status = answer.status
    if status in slow:
        wait = retry_after_s(answer.headers)
        said = "and did not say how long to wait" if wait is None else f"for {wait:g} s"
        message = f"{provider} says slow down (HTTP {status}) {said}"
        return SlowDown(message, provider=provider, status=status, retry_after_s=wait)
    if status >= 500 or status in AGAIN_STATUSES:
        message = f"{provider} failed on its side (HTTP {status})"
        return TryAgain(message, provider=provider, status=status, retry_after_s=retry_after_s(answer.headers))
    return None


def refusal(provider: str, answer: Answer) -> FixRequest | None:
    """Return FixRequest for any other status that is not a success, else None."""
    if 200 <= answer.status < 300:
        return None
    message = f"{provider} refused {answer.request.path} (HTTP {answer.status}); expected 200. See the archived answer"
    return FixRequest(message, provider=provider, status=answer.status, instrument=only_instrument(answer))


def not_json(provider: str, answer: Answer) -> TryAgain | BadData | None:
    """Return an error for a body that can't be a whole JSON object or list; reads its two ends only.

    An empty, cut or HTML body is TryAgain: proxies and bot checks send those, and they pass. Other text is BadData.
    """
    body = answer.body
    first, last = body[:64].lstrip()[:1], body[-64:].rstrip()[-1:]
    if first in _PAIRS and last == _PAIRS[first]:
        return None
    if not first:
        found = "an empty body"
    elif first == b"<":
        found = "an HTML page"
    elif first in _PAIRS:
        found = "a truncated page"
    else:
        return BadData(
            f"expected JSON from {provider}, found other text ({len(body)} bytes)",
            rule="unparsable_page",
            provider=provider,
            status=answer.status,
        )
    message = f"expected JSON from {provider}, found {found} ({len(body)} bytes)"
    return TryAgain(message, provider=provider, status=answer.status)


def only_instrument(answer: Answer) -> str | None:
    """Return the request's instrument if it asks for exactly one."""
    asked = answer.request.instruments
    return asked[0] if len(asked) == 1 else None


def error_object(answer: Answer, mark: bytes) -> dict[str, Any]:
    """Return the body where it is a short JSON object that contains `mark`, else {}. Pages of rows are not decoded."""
    body = answer.body.lstrip()
    if body[:1] != b"{" or len(body) > _ERROR_BYTES or mark not in body:
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def load(provider: str, answer: Answer, *, numbers_as_text: bool = False) -> Any:
    """Return the decoded body. Raises BadData. `numbers_as_text` keeps every digit of a JSON number, as a string."""
    try:
        if numbers_as_text:
            return _EXACT.decode(answer.body.decode(json.detect_encoding(answer.body), "surrogatepass"))
        return json.loads(answer.body)
    except (ValueError, RecursionError) as cause:
        message = f"{provider} sent a body that is no JSON ({len(answer.body)} bytes)"
        raise BadData(message, rule="unparsable_page", provider=provider, status=answer.status) from cause


def reject(row: Any, *, rule: str, reason: str, instrument: str | None = None) -> Reject:
    """Return the row as a Reject, its text cut to a readable length."""
    try:
        text = json.dumps(row)
    except RecursionError:
        text = "(nested too deep to show)"
    return Reject(instrument, rule, reason, text[:_ROW_CHARS])


def sound_rows(
    page: list[Any], read: Callable[[Any], tuple[Any, ...] | None], shape: str, instrument: str | None
) -> tuple[list[tuple[Any, ...]], tuple[Reject, ...]]:
    """Return what `read` makes of the rows, and a Reject for each it makes nothing of."""
    rows, rejects = [], []
    for raw in page:
        row = read(raw)
        if row is None:
            rejects.append(reject(raw, rule="wrong_shape", reason=shape, instrument=instrument))
        else:
            rows.append(row)
    return rows, tuple(rejects)


def sound_rows_at_once(
    page: list[Any], read: Callable[[list[Any]], list[tuple[Any, ...]] | None], shape: str, instrument: str
) -> tuple[list[tuple[Any, ...]], tuple[Reject, ...]]:
    """Return the same of a `read` that takes many rows and gives None if any is off.

    It can look at columns instead of cells, which takes a third of the time; only a page with a bad row is read row by
    row. What it makes of a row must not depend on the others.
    """
    rows = read(page)
    if rows is not None:
        return rows, ()

    def read_one(row: Any) -> tuple[Any, ...] | None:
        found = read([row])
        return None if found is None else found[0]

    return sound_rows(page, read_one, shape, instrument)


def sound_columns(
    page: list[Any],
    read: Callable[[list[Any]], list[list[Any]] | None],
    fields: int,
    shape: str,
    instrument: str | None,
) -> tuple[list[list[Any]], tuple[Reject, ...]]:
    """Return the same in `fields` columns, of a `read` that gives columns.

    A tuple a row would only be taken apart again, and the garbage collector counts each: Bitfinex's trades, 10,000 a
    page, took 4.4 us with them and 1.7 without.
    """
    columns = read(page)
    if columns is not None:
        return columns, ()

    def read_one(row: Any) -> tuple[Any, ...] | None:
        found = read([row])
        return None if found is None else tuple(column[0] for column in found)

    rows, rejects = sound_rows(page, read_one, shape, instrument)
    return list(map(list, zip(*rows, strict=True))) or [[] for _ in range(fields)], rejects


def by_column(rows: list[Any], fields: int) -> list[list[Any]] | None:
    """Return the first `fields` columns of rows that are lists of one length; None where one is not, or is shorter.

    `zip(*rows)` would make an iterator a row, each of which the garbage collector counts: on a page of 10,000 rows that
    sets it off, and going over all that a worker holds takes longer than the parsing.
    """
    if set(map(type, rows)) != {list}:
        return None
    width, *others = set(map(len, rows))
    if others or width < fields:
        return None
    cells = list(chain.from_iterable(rows))
    return [cells[place::width] for place in range(fields)]


def by_member(rows: list[Any], names: Iterable[str]) -> list[list[Any]] | None:
    """Return a column a name of rows that are objects, None in it where one has no such member; else None."""
    return [[row.get(name) for row in rows] for name in names] if set(map(type, rows)) == {dict} else None


def are_text_or_null(columns: Iterable[Iterable[Any]]) -> bool:
    """Say whether every cell is text, or null, which is left to the quality rules."""
    return all(set(map(type, column)) <= TEXT_OR_NULL for column in columns)


def json_object(values: Mapping[str, Any]) -> str | None:
    """Return a JSON object as text for a column of such, characters as they are; None for an empty one."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) if values else None


def book_side(levels: Any) -> tuple[str, str] | None:
    """Return prices and sizes of the best levels, joined by commas; None if one is no [price, size, ..] of text."""
    if type(levels) is not list:
        return None
    best = levels[:BOOK_LEVELS]
    if not set(map(type, best)) <= {list} or min(map(len, best), default=2) < 2:
        return None
    prices, sizes = [level[0] for level in best], [level[1] for level in best]
    return (",".join(prices), ",".join(sizes)) if _are_cells(prices) and _are_cells(sizes) else None


def is_whole(value: Any) -> bool:
    """Say whether a number that was read as text is a whole one of at most 18 digits."""
    return type(value) is str and _WHOLE.fullmatch(value) is not None


def are_whole(values: Collection[Any]) -> bool:
    """Say the same of each of them."""
    return set(map(type, values)) == {str} and all(map(_WHOLE.fullmatch, values))


def _are_cells(values: Collection[Any]) -> bool:
    return set(map(type, values)) <= {str} and "" not in values and "," not in "".join(values)
