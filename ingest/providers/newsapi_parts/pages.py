"""NewsAPI's pages: their articles as columns, and the second at which a page is left for the following one.

Deliberately not here: what is asked for (../newsapi.py). Invariant: each article of a window is one page's.
Source: https://newsapi.org/docs/endpoints/everything, read autumn 2026, unless another stands beside a fact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.errors import BadData
from ingest.market.records import Reject
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.wire import Answer, Request

_NAME = "newsapi"
#: "Default: 100".
_DEFAULT_ROWS = "100"
_ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
COLUMNS = ("ts", "article_id", "title", "url", "source", "author", "summary", "instruments")
SHAPE = "expected an object with publishedAt in UTC, and text or null in url, title, author and description"
#: Not documented, but in many published answers: an article that was taken down, dated 1970.
_REMOVED_TITLE, _REMOVED_URL = "[Removed]", "https://removed.com"
_REMOVED = "NewsAPI sends [Removed] in place of an article that was taken down"


@dataclass(frozen=True, slots=True)
class Page:
    """A page's articles as they came, how many the search has in all, and where the page stands in it."""

    articles: list[Any]
    total: int
    number: int
    size: int

    @property
    def has_following(self) -> bool:
        """Say whether the search has articles that are not on this page or before it: a page may come short."""
        before = (self.number - 1) * self.size
        return len(self.articles) < min(self.size, self.total - before) or self.number * self.size < self.total


def text_of(second: datetime) -> str:
    """Print a time as documented: `2024-11-22T01:51:34`."""
    return f"{second:%Y-%m-%dT%H:%M:%S}"


def whole_second(moment: datetime) -> datetime:
    """Return the first whole second that is not before the moment."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)


def page_of(answer: Answer) -> Page:
    body = answers.load(_NAME, answer, numbers_as_text=True)
    if type(body) is not dict or body.get("status") != "ok":
        raise _bad_page("expected an object with the status ok", answer)
    articles, total = body.get("articles"), body.get("totalResults")
    if type(articles) is not list or not answers.is_whole(total):
        raise _bad_page("expected articles, and a whole number in totalResults", answer)
    params = dict(answer.request.params)
    page = Page(articles, int(str(total)), int(params.get("page", "1")), int(params.get("pageSize", _DEFAULT_ROWS)))
    if not articles and page.has_following:
        raise _bad_page("it has no articles, yet says that there are some", answer)
    return page


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{_NAME} sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=_NAME, status=answer.status)


def left_at(page: Page, request: Request) -> datetime | None:
    """Return the second from which on the following page brings everything, this page's part of it too.

    None where no page follows, or where it is the second at which this page began: then only its number helps.
    """
    to = dict(request.params).get("to")
    if to is None or not page.has_following:
        return None
    began = datetime.fromisoformat(to).replace(tzinfo=UTC)
    moments = (_moment(raw) for raw in reversed(page.articles) if not is_removed(raw))
    oldest = next((moment for moment in moments if moment is not None), None)
    if oldest is None or (request.start is not None and oldest < request.start.replace(microsecond=0)):
        return None
    second = whole_second(oldest)
    return second if second < began else None


def is_elsewhere(ts_us: int, left_at: datetime | None, request: Request) -> bool:
    """Say whether an article is the following page's, or came only because the window was asked in whole seconds."""
    if request.start is None or request.end is None:
        return False
    if left_at is not None and ts_us <= epoch_us(left_at):
        return True
    first, last = request.start.replace(microsecond=0), whole_second(request.end)
    start_us, end_us = epoch_us(request.start), epoch_us(request.end)
    return epoch_us(first) <= ts_us < start_us or end_us <= ts_us <= epoch_us(last)


def _moment(raw: Any) -> datetime | None:
    text = raw.get("publishedAt") if type(raw) is dict else None
    if type(text) is not str or not _ISO_UTC.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def article(raw: Any) -> tuple[Any, ...] | None:
    """Return an article's columns; a null title or URL is left to the quality rules."""
    moment = _moment(raw)
    if moment is None:
        return None
    source = raw.get("source") or {}
    name = source.get("name") if type(source) is dict else source
    url, title, author, summary = (raw.get(field) for field in ("url", "title", "author", "description"))
    if not {type(value) for value in (url, title, name, author, summary)} <= answers.TEXT_OR_NULL:
        return None
    return (epoch_us(moment), url, title, url, name, author, summary, "")


def is_removed(raw: Any) -> bool:
    return type(raw) is dict and (raw.get("url") == _REMOVED_URL or raw.get("title") == _REMOVED_TITLE)


def removed(articles: list[Any], instrument: str) -> list[Reject]:
    return [
        answers.reject(raw, rule="missing_field", reason=_REMOVED, instrument=instrument)
        for raw in articles
        if is_removed(raw)
    ]
