"""NewsAPI.org, v2: articles that hold a phrase (`everything`), and the top headlines of a country.

Deliberately not here: its lists of sources, and what an article is about: it names no tickers, so `instruments` is
empty. Invariant: a window's pages join to every article once: each page is left at its oldest second, whose articles
are the following page's.

`INTEREST.RATES` is the phrase `"interest rates"`, dots standing for spaces; `HEADLINES.US` and `HEADLINES.US.BUSINESS`
are top headlines of a country, of a category, which can only be polled. The Developer plan has articles when they are
24 hours old, the first 100 results of a search (so pages are told apart by time, not by number), and a month back.

Source for all facts, unless another stands beside one: https://newsapi.org/docs (endpoints/everything,
endpoints/top-headlines, errors), read autumn 2026. What times without an offset mean is not said there: UTC, as in
the answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.records import Parsed, Reject
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import epoch_us
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.wire import Answer, KeySpec, Limit, Request

#: "pageSize: 100 is the maximum". Read at each `build`, so that a test can lower it.
PAGE_ROWS = 100
#: "Your plan permits you to request articles as far back as" a month ago; February is the shortest.
REACH_DAYS = 28
CATEGORIES = ("business", "entertainment", "general", "health", "science", "sports", "technology")

_PRICING = "https://newsapi.org/pricing, autumn 2026"
_EVERYTHING, _HEADLINES = "/everything", "/top-headlines"
#: Our choice for a spent plan, whose requests come back one by one: what is refused costs little.
_SPENT_WAIT_S, _RATE_WAIT_S = 3600.0, 60.0

facts = Facts(
    name="newsapi",
    title="NewsAPI",
    base_url="https://newsapi.org/v2",
    docs_url="https://newsapi.org/docs",
    terms_url="https://newsapi.org/terms",
    datasets=("news",),
    intervals={},
    page_rows=PAGE_ROWS,
    settle_s=0.0,
    # "Developer accounts are limited to 100 requests over a 24 hour period (50 requests available every 12 hours)": its
    # error text; the second half is unconfirmed, but costs nothing to keep. For development only, by its terms.
    limits=(Limit(100, 86_400, _PRICING), Limit(50, 43_200, _PRICING)),
    # "250,000 requests per month", unconfirmed.
    plans={"business": (Limit(250_000, 30 * 86_400, _PRICING),)},
    # "X-Api-Key HTTP header": keeps the key out of URLs.
    key=KeySpec(
        env="NEWSAPI_KEY",
        place="header",
        name="x-api-key",
        required=True,
        where_to_get="https://newsapi.org/register",
        also=("NEWS_API_KEY",),
    ),
    batch={"news": 1},
    reach_days={"news": REACH_DAYS},
)

_TOP = re.compile(r"HEADLINES\.([A-Z]{2})(?:\.([A-Z0-9.]+))?", re.ASCII)
_TOP_NATIVE = re.compile(r"country=([a-z]{2})(?:&category=([a-z]+))?", re.ASCII)
_PHRASE = re.compile(r'"([a-z0-9]+(?: [a-z0-9]+)*)"', re.ASCII)
_ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
_COLUMNS = ("ts", "article_id", "title", "url", "source", "author", "summary", "instruments")
_ARTICLE_SHAPE = "expected an object with publishedAt in UTC, and text or null in url, title, author and description"
#: Not documented, but in many published answers: an article that was taken down, dated 1970.
_REMOVED_TITLE, _REMOVED_URL = "[Removed]", "https://removed.com"
_REMOVED = "NewsAPI sends [Removed] in place of an article that was taken down"
_BEYOND = "one second has more articles than the plan serves of a search: the others can't be read"
_TOO_MANY = "maximumResultsReached"
#: A plan's own limits, told by the text of a `rateLimited`; any other is a matter of a minute.
_PLAN_SPENT = re.compile(r"\d+ requests over a \d+ hour period")
_TOO_OLD = re.compile(r"too far in the past")
#: What the codes mean; any other is a FixRequest.
_CODES: dict[str, tuple[type[TickfarmError], str]] = {
    "apiKeyMissing": (KeyRefused, "no key came with the request; set NEWSAPI_KEY"),
    "apiKeyInvalid": (KeyRefused, "the key in NEWSAPI_KEY is not accepted"),
    "apiKeyDisabled": (KeyRefused, "the key in NEWSAPI_KEY was disabled; see https://newsapi.org/account"),
    "apiKeyExhausted": (SlowDown, "the key has no requests left"),
    "rateLimited": (SlowDown, "too many requests"),
    "unexpectedError": (TryAgain, "its side failed"),
    "parameterInvalid": (FixRequest, "a parameter is not supported, or not by the plan"),
    _TOO_MANY: (FixRequest, "the plan does not serve that many results of a search"),
}


@dataclass(frozen=True, slots=True)
class _Page:
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


def build(query: Query) -> list[Request]:
    """Return one search for each instrument, newest first; `next_page` follows a window's pages from there.

    A window is asked in whole seconds, both ends included; `parse` cuts what is beyond it. Raises FixRequest for
    headlines of the past: there are only those of now.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.start is not None and query.end is None:
        raise FixRequest(f"{facts.name}: a window needs an end as well as a start", provider=facts.name)
    return [_request(native_symbol(instrument), instrument, query) for instrument in dict.fromkeys(query.instruments)]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the same search up to this page's oldest second, or its next page by number where it is all one second.

    None after the last page, for a live poll, and where the plan serves no more.
    """
    try:
        page = None if request.start is None or _is_beyond_plan(answer) else _page(answer)
    except BadData:
        return None
    if page is None or not page.has_following:
        return None
    kept = tuple(param for param in request.params if param[0] != "page")
    second = _left_at(page, request)
    if second is not None:
        params = tuple((name, _text(second)) if name == "to" else (name, value) for name, value in kept)
        return replace(request, params=params)
    if page.number * page.size >= page.total:
        return None
    return replace(request, params=(*kept, ("page", str(page.number + 1))))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then its code, even in a 200, then a body cut short.

    A page beyond what the plan serves is none: it ends the search, and `parse` reports it.
    """
    code, text = _error(answer)
    if _is_beyond_plan(answer):
        return None
    return (
        answers.limit_or_outage(facts.name, answer, slow=frozenset())
        or (_coded(code, text, answer) if code else None)
        or _uncoded(answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's articles, newest first, identified by their URL. Raises BadData for a page that is none."""
    (instrument,) = answer.request.instruments or query.instruments[:1]
    if _is_beyond_plan(answer):
        page, left_at = [], None
        reports = [answers.reject(_TOO_MANY, rule="missing_rows", reason=_BEYOND, instrument=instrument)]
    else:
        found = _page(answer)
        page = [raw for raw in found.articles if not _is_removed(raw)]
        left_at = _left_at(found, answer.request)
        reports = _removed(found.articles, instrument)
    rows, rejects = answers.sound_rows(page, _article, _ARTICLE_SHAPE, instrument)
    rows = [row for row in rows if not _is_elsewhere(row[0], left_at, answer.request)]
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    values = {name: list(column) for name, column in zip(_COLUMNS, columns, strict=True)}
    return Parsed({"instrument": [instrument] * len(rows)} | values, "us", (*rejects, *reports))


def catalogue(text: str = "") -> Request | None:
    """Return None: whatever people write about can be searched for."""
    return None


def listed(answer: Answer) -> list[str]:
    """Return nothing, as there is no catalogue."""
    return []


def native_symbol(instrument: str) -> str:
    """Return the phrase, `"interest rates"`, or what headlines are asked with, `country=us&category=business`.

    Raises FixRequest for a pair, UnknownName for a category there is not.
    """
    if is_pair(validate(instrument)):
        said = f"{facts.name} is searched for a topic, like BITCOIN or INTEREST.RATES; found a pair: {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    top = _TOP.fullmatch(instrument)
    if top is None:
        return f'"{instrument.replace(".", " ").lower()}"'
    country, category = top[1].lower(), top[2]
    if category is None:
        return f"country={country}"
    if category.lower() not in CATEGORIES:
        raise UnknownName("category", category, (name.upper() for name in CATEGORIES), provider=facts.name)
    return f"country={country}&category={category.lower()}"


def instrument_of(native: str) -> str | None:
    """Return the topic of a phrase or the name of headlines; None where `native_symbol` would ask something else."""
    phrase, top = _PHRASE.fullmatch(native), _TOP_NATIVE.fullmatch(native)
    if phrase is not None:
        name = phrase[1].replace(" ", ".").upper()
        return name if is_instrument(name) and not _TOP.fullmatch(name) else None
    if top is None or top[2] not in (None, *CATEGORIES):
        return None
    return ".".join(("HEADLINES", *(part.upper() for part in top.groups() if part is not None)))


def _request(native: str, instrument: str, query: Query) -> Request:
    size = ("pageSize", str(PAGE_ROWS))
    top = _TOP_NATIVE.fullmatch(native)
    if top is not None:
        if query.start is not None:
            said = f"{facts.name} has headlines of now only, no window of them: {instrument}"
            raise FixRequest(said, provider=facts.name, instrument=instrument)
        asked = [(name, value) for name, value in zip(("country", "category"), top.groups(), strict=True) if value]
        return Request(_HEADLINES, (*asked, size), (), (instrument,))
    params = [("q", native), ("sortBy", "publishedAt"), size]
    if query.start is None or query.end is None:
        return Request(_EVERYTHING, tuple(params), (), (instrument,))
    first = query.start.astimezone(UTC).replace(microsecond=0)
    params += [("from", _text(first)), ("to", _text(_whole_second(query.end.astimezone(UTC))))]
    return Request(_EVERYTHING, tuple(params), (), (instrument,), 1, query.start, query.end)


def _text(second: datetime) -> str:
    """Print a time as documented: `2024-11-22T01:51:34`."""
    return f"{second:%Y-%m-%dT%H:%M:%S}"


def _whole_second(moment: datetime) -> datetime:
    """Return the first whole second that is not before the moment."""
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)


def _page(answer: Answer) -> _Page:
    body = answers.load(facts.name, answer, numbers_as_text=True)
    if type(body) is not dict or body.get("status") != "ok":
        raise _bad_page("expected an object with the status ok", answer)
    articles, total = body.get("articles"), body.get("totalResults")
    if type(articles) is not list or not answers.is_whole(total):
        raise _bad_page("expected articles, and a whole number in totalResults", answer)
    params = dict(answer.request.params)
    page = _Page(articles, int(str(total)), int(params.get("page", "1")), int(params.get("pageSize", PAGE_ROWS)))
    if not articles and page.has_following:
        raise _bad_page("it has no articles, yet says that there are some", answer)
    return page


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{facts.name} sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)


def _left_at(page: _Page, request: Request) -> datetime | None:
    """Return the second from which on the following page brings everything, this page's part of it too.

    None where no page follows, or where it is the second at which this page began: then only its number helps.
    """
    to = dict(request.params).get("to")
    if to is None or not page.has_following:
        return None
    began = datetime.fromisoformat(to).replace(tzinfo=UTC)
    moments = (_moment(raw) for raw in reversed(page.articles) if not _is_removed(raw))
    oldest = next((moment for moment in moments if moment is not None), None)
    if oldest is None or (request.start is not None and oldest < request.start.replace(microsecond=0)):
        return None
    second = _whole_second(oldest)
    return second if second < began else None


def _is_elsewhere(ts_us: int, left_at: datetime | None, request: Request) -> bool:
    """Say whether an article is the following page's, or came only because the window was asked in whole seconds."""
    if request.start is None or request.end is None:
        return False
    if left_at is not None and ts_us <= epoch_us(left_at):
        return True
    first, last = request.start.replace(microsecond=0), _whole_second(request.end)
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


def _article(raw: Any) -> tuple[Any, ...] | None:
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


def _is_removed(raw: Any) -> bool:
    return type(raw) is dict and (raw.get("url") == _REMOVED_URL or raw.get("title") == _REMOVED_TITLE)


def _removed(articles: list[Any], instrument: str) -> list[Reject]:
    return [
        answers.reject(raw, rule="missing_field", reason=_REMOVED, instrument=instrument)
        for raw in articles
        if _is_removed(raw)
    ]


def _error(answer: Answer) -> tuple[str, str]:
    """Return code and text of `{"status":"error","code":"apiKeyInvalid","message":".."}`, ("", "") if there is none."""
    error: Mapping[str, Any] = answers.error_object(answer, b'"status"')
    if error.get("status") in (None, "ok"):
        return "", ""
    return str(error.get("code")), str(error.get("message"))


def _is_beyond_plan(answer: Answer) -> bool:
    """Say whether this is a later page than the plan serves: "stop paging", which is no failure."""
    return "page" in dict(answer.request.params) and _error(answer)[0] == _TOO_MANY


def _coded(code: str, text: str, answer: Answer) -> TickfarmError:
    """Never quotes the provider's text: it may repeat the key. Its codes are told where they are known ones."""
    kind, advice = _CODES.get(code, (FixRequest, "it can't answer the request as asked"))
    if code == "parameterInvalid" and _TOO_OLD.search(text):
        advice = f"the window begins before what the plan serves; ask for the last {REACH_DAYS} days"
    wait = None
    if code == "apiKeyExhausted":
        wait = _to_midnight_s(answer)
    elif kind is SlowDown:
        told = answers.retry_after_s(answer.headers)
        wait = told if told is not None else _SPENT_WAIT_S if _PLAN_SPENT.search(text) else _RATE_WAIT_S
    message = f"{facts.name} error {code if code in _CODES else '?'}: {advice}"
    instrument = answers.only_instrument(answer)
    return kind(message, provider=facts.name, status=answer.status, instrument=instrument, retry_after_s=wait)


def _to_midnight_s(answer: Answer) -> float:
    """Return the seconds until the UTC day turns. Whose midnight counts is not said: one too early costs a request."""
    now = answer.received_at.astimezone(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds()


def _uncoded(answer: Answer) -> TickfarmError | None:
    """Return what a status means that came without a code."""
    if answer.status == 401:
        return KeyRefused(f"{facts.name}: {_CODES['apiKeyInvalid'][1]}", provider=facts.name, status=401)
    return answers.limit_or_outage(facts.name, answer)
