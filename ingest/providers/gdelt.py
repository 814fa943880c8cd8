"""GDELT DOC 2.0: news of the whole world by topic; keyless.

An instrument is a topic, a single name where dots stand for spaces: `BITCOIN` is searched for as a word,
`INTEREST.RATES` as the phrase "interest rates". `ts` is when GDELT saw an article, on a grid of 15 minutes, and its URL
is its id. There are no authors, summaries, tickers or scores. Errors are sentences, mostly with HTTP 200.

Deliberately not here: timelines, images, other operators of its query language.
Invariant: texts are stored as they came. There is no paging and no more than 250 articles an answer: where it is full,
what is older than it is asked for, and articles that can't be reached so are a finding.

Sources, read 2026-11-25: https://blog.gdeltproject.org/gdelt-doc-2-0-api-debuts/, called "debut" below, and what its
clients saw (alex9smith/gdelt-doc-api issues 22, 26 and 28; koala73/worldmonitor issue 5843).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, UnknownName
from ingest.market.records import Parsed
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.gdelt_parts import articles, errors
from ingest.wire import Answer, Limit, Request

#: "Up to 250 results", 75 without it. Source: debut, MAXRECORDS. Read at each `build`, so that a test can lower it.
PAGE_ROWS = 250
#: A live poll looks back a day, so that a missed poll heals at the next. Source: debut, TIMESPAN.
NEWEST_SPAN = "1d"
#: "The API now searches back to January 1, 2017". The parameters' text still has "the last 3 months", which clients
#: have seen as a refusal, too: then an older window is refused in words, and said to be. Source: debut.
FIRST_DAY = datetime(2017, 1, 1, tzinfo=UTC)
#: It asks for a request in 5 seconds; who goes on is refused for longer. Source: its 429, worldmonitor issue 5843.
THROTTLED_S = 60.0
#: Its answers, refusals too, were seen to take 13 s. Source: worldmonitor issue 5843.
TIMEOUT_S = 25.0

facts = Facts(
    name="gdelt",
    title="GDELT",
    base_url="https://api.gdeltproject.org",
    docs_url="https://blog.gdeltproject.org/gdelt-doc-2-0-api-debuts/",
    terms_url="https://www.gdeltproject.org/about.html",
    datasets=("news",),
    intervals={},
    page_rows=PAGE_ROWS,
    # Its grid: an update may come in while its quarter of an hour lasts.
    settle_s=900.0,
    # "Please limit requests to one every 5 seconds". One in 5.0 s still draws refusals, so 7 s lie between two.
    limits=(Limit(1, 7, "https://github.com/koala73/worldmonitor/issues/5843, 2026-11-25"),),
    at_once=1,
    # Several topics fit into a query, but then no article says which it is about.
    batch={"news": 1},
)

_PATH = "/api/v2/doc/doc"
_SHORTEST_WORD = 3
#: "Only articles published after this" and "before this": whether a bound is itself included is not said, so a second
#: more is asked for at both ends, and what it brings is cut.
_SLACK = timedelta(seconds=1)
_NATIVE = re.compile(r'[a-z0-9]+|"[a-z0-9]+(?: [a-z0-9]+)+"', re.ASCII)


def build(query: Query) -> list[Request]:
    """Return one request a topic: the newest of a day, or of a window; what a full answer left out is `next_page`'s.

    Raises FixRequest for a start without an end, and for a window that ends before GDELT begins.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.start is not None and query.end is None:
        raise FixRequest("gdelt: a window needs an end as well as a start", provider=facts.name)
    topics = {native_symbol(instrument): instrument.strip() for instrument in query.instruments}
    fixed = (("mode", "ArtList"), ("format", "json"), ("maxrecords", str(PAGE_ROWS)), ("sort", "DateDesc"))
    if query.start is None or query.end is None:
        span = (("timespan", NEWEST_SPAN),)
        return [
            Request(_PATH, (("query", topic), *fixed, *span), (), (name,), timeout_s=TIMEOUT_S)
            for topic, name in topics.items()
        ]
    if query.end <= FIRST_DAY:
        said = f"gdelt begins with {FIRST_DAY.date()}; found a window that ends {query.end.isoformat()}"
        raise FixRequest(said, provider=facts.name)
    bounds = (("startdatetime", _compact(_floor(query.start) - _SLACK)), ("enddatetime", _compact(_ceil(query.end))))
    return [
        Request(_PATH, (("query", topic), *fixed, *bounds), (), (name,), 1, query.start, query.end, TIMEOUT_S)
        for topic, name in topics.items()
    ]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the articles older than a full answer's, or None after one that is not full."""
    try:
        older = articles.older_of(request, articles.articles_of(answer), answer)
    except BadData:
        return None
    if older is None or request.start is None:
        return None
    end = older.seen - _SLACK if older.lost else older.seen + _SLACK
    if end < request.start:
        return None
    params = tuple(("enddatetime", _compact(end)) if param[0] == "enddatetime" else param for param in request.params)
    return replace(request, params=params)


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then a sentence in place of JSON. `{}` is none: it has no hits."""
    error = (
        answers.limit_or_outage(facts.name, answer)
        or errors.bot_check(answer)
        or answers.refusal(facts.name, answer)
        or errors.sentence(answer)
        or answers.not_json(facts.name, answer)
    )
    if isinstance(error, SlowDown):
        error.retry_after_s = max(error.retry_after_s or 0.0, THROTTLED_S)
    return error


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the articles, newest first.

    Those of a full answer's oldest moment are left to the next one, which begins with it, and those that only the
    second more at a window's ends brought are cut.
    """
    page, request = articles.articles_of(answer), answer.request
    topic = (request.instruments or query.instruments)[0]
    rows, rejects = answers.sound_rows(page, articles.article, articles.SHAPE, topic)
    older = articles.older_of(request, page, answer)
    if older is not None and older.lost and request.end is not None and older.seen < request.end:
        rejects = (*rejects, answers.reject(page[-1], rule="missing_rows", reason=articles.CROWDED, instrument=topic))
    if request.start is not None and request.end is not None:
        rows = [row for row in rows if not _is_slack(row[0], request.start, request.end)]
    if older is not None and not older.lost:
        rows = [row for row in rows if row[0] != older.seen]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in articles.COLUMNS]
    columns[0] = [int(seen.timestamp()) for seen in columns[0]]
    return Parsed(
        {"instrument": [topic] * len(rows), **dict(zip(articles.COLUMNS, columns, strict=True))}, "s", rejects
    )


def catalogue(text: str = "") -> Request | None:
    """Return None: whatever is written about is a topic."""
    return None


def listed(answer: Answer) -> list[str]:
    """Return nothing, as there is no catalogue."""
    return []


def native_symbol(instrument: str) -> str:
    """Return what is searched for: `INTEREST.RATES` is `"interest rates"`. Raises FixRequest for a pair.

    One word goes without quotes, because a short one in quotes is refused; "words shorter than 3 characters" are in
    any case.
    """
    words = validate(instrument).lower().split(".")
    if is_pair(instrument):
        said = f"gdelt has topics, like BITCOIN or INTEREST.RATES; found the pair {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    if max(map(len, words)) < _SHORTEST_WORD:
        said = f"gdelt takes no topic without a word of {_SHORTEST_WORD} characters; found {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return words[0] if len(words) == 1 else f'"{" ".join(words)}"'


def instrument_of(native: str) -> str | None:
    """Return the topic of a word or phrase; None for operators and whatever else a query may hold."""
    if _NATIVE.fullmatch(native) is None:
        return None
    name = native.strip('"').replace(" ", ".").upper()
    return name if is_instrument(name) and max(map(len, name.split("."))) >= _SHORTEST_WORD else None


def _floor(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _ceil(moment: datetime) -> datetime:
    """Return the whole second after the moment, or itself."""
    return _floor(moment + timedelta(microseconds=999_999))


def _compact(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(articles.COMPACT)


def _is_slack(seen: datetime, start: datetime, end: datetime) -> bool:
    """Say whether an article lies outside of `[start, end)` by no more than was asked for beside it."""
    return start - 2 * _SLACK <= seen < start or end <= seen <= end + _SLACK
