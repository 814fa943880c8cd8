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
from dataclasses import replace
from datetime import UTC

from ingest.errors import BadData, FixRequest, TickfarmError, UnknownName
from ingest.market.records import Parsed
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.newsapi_parts import errors, pages
from ingest.wire import Answer, KeySpec, Limit, Request

#: "pageSize: 100 is the maximum". Read at each `build`, so that a test can lower it.
PAGE_ROWS = 100
CATEGORIES = ("business", "entertainment", "general", "health", "science", "sports", "technology")

_PRICING = "https://newsapi.org/pricing, autumn 2026"
_EVERYTHING, _HEADLINES = "/everything", "/top-headlines"

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
    reach_days={"news": errors.REACH_DAYS},
)

_TOP = re.compile(r"HEADLINES\.([A-Z]{2})(?:\.([A-Z0-9.]+))?", re.ASCII)
_TOP_NATIVE = re.compile(r"country=([a-z]{2})(?:&category=([a-z]+))?", re.ASCII)
_PHRASE = re.compile(r'"([a-z0-9]+(?: [a-z0-9]+)*)"', re.ASCII)
_BEYOND = "one second has more articles than the plan serves of a search: the others can't be read"


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
        page = None if request.start is None or errors.is_beyond_plan(answer) else pages.page_of(answer)
    except BadData:
        return None
    if page is None or not page.has_following:
        return None
    kept = tuple(param for param in request.params if param[0] != "page")
    second = pages.left_at(page, request)
    if second is not None:
        params = tuple((name, pages.text_of(second)) if name == "to" else (name, value) for name, value in kept)
        return replace(request, params=params)
    if page.number * page.size >= page.total:
        return None
    return replace(request, params=(*kept, ("page", str(page.number + 1))))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then its code, even in a 200, then a body cut short.

    A page beyond what the plan serves is none: it ends the search, and `parse` reports it.
    """
    code, text = errors.code_and_text(answer)
    if errors.is_beyond_plan(answer):
        return None
    return (
        answers.limit_or_outage(facts.name, answer, slow=frozenset())
        or (errors.coded(code, text, answer) if code else None)
        or errors.uncoded(answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's articles, newest first, identified by their URL. Raises BadData for a page that is none."""
    (instrument,) = answer.request.instruments or query.instruments[:1]
    if errors.is_beyond_plan(answer):
        page, left_at = [], None
        reports = [answers.reject(errors.TOO_MANY, rule="missing_rows", reason=_BEYOND, instrument=instrument)]
    else:
        found = pages.page_of(answer)
        page = [raw for raw in found.articles if not pages.is_removed(raw)]
        left_at = pages.left_at(found, answer.request)
        reports = pages.removed(found.articles, instrument)
    rows, rejects = answers.sound_rows(page, pages.article, pages.SHAPE, instrument)
    rows = [row for row in rows if not pages.is_elsewhere(row[0], left_at, answer.request)]
    columns = list(zip(*rows, strict=True)) or [()] * len(pages.COLUMNS)
    values = {name: list(column) for name, column in zip(pages.COLUMNS, columns, strict=True)}
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
    params += [("from", pages.text_of(first)), ("to", pages.text_of(pages.whole_second(query.end.astimezone(UTC))))]
    return Request(_EVERYTHING, tuple(params), (), (instrument,), 1, query.start, query.end)
