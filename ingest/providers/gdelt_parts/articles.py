"""GDELT's articles: read out of an answer that is not always JSON, and what a full answer leaves out.

Deliberately not here: what is asked for (../gdelt.py). Invariant: texts are stored as they came.
Sources: those of ../gdelt.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.errors import BadData
from ingest.providers import answers
from ingest.wire import Answer, Request

_NAME = "gdelt"
#: GDELT's own grid, and so how far rounding may move an article's time.
_GRID = timedelta(minutes=15)
COMPACT = "%Y%m%d%H%M%S"
_SEEN = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
SHAPE = "expected an object with a url, a seendate like 20260105T123000Z, and texts or nulls"
COLUMNS = ("ts", "article_id", "title", "url", "source", "language", "instruments")
CROWDED = "an answer is full of articles of this quarter of an hour, and those beyond it can't be asked for"
#: Escapes JSON has none of, as titles bring them: a backslash before anything else is one itself.
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}|)', re.ASCII)


@dataclass(frozen=True, slots=True)
class Older:
    """What is left after a full answer: articles up to `seen`, or, where that one moment filled it, before it."""

    seen: datetime
    lost: bool = False


def articles_of(answer: Answer) -> list[Any]:
    """Return the list under `articles`; an object without it has no hits. Raises BadData.

    Some answers have escapes that JSON does not know, or control characters in texts: they are read as they stand.
    """
    try:
        page = answers.load(_NAME, answer)
    except BadData as cause:
        page = _leniently(answer, cause)
    articles = page.get("articles", []) if type(page) is dict else None
    if type(articles) is not list:
        raise _bad_page("an object whose articles are a list", answer)
    return articles


def _leniently(answer: Answer, cause: BadData) -> Any:
    try:
        text = answer.body.decode()
        return json.loads(_ESCAPE.sub(lambda m: m[0] if len(m[0]) > 1 else r"\\", text), strict=False)
    except (ValueError, RecursionError):
        raise cause from None


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"gdelt sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=_NAME, status=answer.status)


def older_of(request: Request, page: Sequence[Any], answer: Answer) -> Older | None:
    """Return what a full answer of a window left out, None where it is not full. Raises BadData where it can't be told.

    An article that is newer than the request's own end shows that the page is another one's.
    """
    params = dict(request.params)
    if request.start is None or request.end is None or len(page) < int(params["maxrecords"]):
        return None
    seen = [one for one in (_moment(row.get("seendate")) for row in page if type(row) is dict) if one is not None]
    end = datetime.strptime(params["enddatetime"], COMPACT).replace(tzinfo=UTC)
    inside = [one for one in seen if request.start <= one <= min(end, request.end)]
    if not inside:
        raise _bad_page("articles of its window", answer)
    if any(end + _GRID < one <= request.end for one in seen):
        raise _bad_page("articles up to its end, found newer ones", answer)
    oldest = min(inside)
    return Older(oldest, lost=oldest == max(inside))


def article(row: Any) -> tuple[Any, ...] | None:
    """Return time, URL twice, title, domain and language; a null title is left to the quality rules."""
    if type(row) is not dict:
        return None
    url, seen = row.get("url"), _moment(row.get("seendate"))
    texts = [row.get(name) for name in ("title", "domain", "language")]
    if type(url) is not str or not url or seen is None or not set(map(type, texts)) <= answers.TEXT_OR_NULL:
        return None
    title, domain, language = texts
    return seen, url, title, url, domain, language, ""


def _moment(text: Any) -> datetime | None:
    if type(text) is not str or _SEEN.fullmatch(text) is None:
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
