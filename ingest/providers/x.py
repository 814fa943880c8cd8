"""X (Twitter), API v2: the posts of recent search that name a ticker or hold a phrase.

Deliberately not here: the filtered stream, the full archive (another price), deletions, and authors' names, because an
`author_id` expansion bills every author as well. Invariant: no request can return, and so bill, more posts than its
weight.

`AAPL` or `BRK.B`, up to six letters, is the cashtag `$AAPL`; any other name is a phrase, dots standing for spaces:
`INTEREST.RATES` is `"interest rates"`. English only, and no reposts: every post returned costs money.

Source for all facts, unless another stands beside one: https://github.com/xdevplatform/docs (pricing, rate-limits,
response-codes-and-errors, edit-posts, search; openapi.json 2.167), 2026-08-22.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, TickfarmError, UnknownName
from ingest.market.records import Parsed
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import epoch_ms, epoch_us
from ingest.providers import answers
from ingest.providers.contract import Facts, Query, UsageHeader
from ingest.providers.x_parts import errors, posts
from ingest.wire import Answer, KeySpec, Limit, Request

#: "10 default, 100 max results". Read at each `build`, so that a test can lower it.
PAGE_ROWS = 100
#: What a live poll asks for: the fewest it takes, since each costs money. A window brings them all.
NEWEST_ROWS = 10
#: Search "must be within the last 7 days" at the moment it is answered: a start of just seven days ago is refused.
REACH_DAYS = 6

_LIMITS = "https://docs.x.com/x-api/fundamentals/rate-limits, 2026-08-22"
_PATH = "/tweets/search/recent"
_FILTER = "lang:en -is:retweet"
_FIELDS = "created_at,author_id,lang,public_metrics,entities"

facts = Facts(
    name="x",
    title="X (Twitter)",
    # "https://api.twitter.com/2", the former address, may still answer: unconfirmed, so it is no mirror.
    base_url="https://api.x.com/2",
    docs_url="https://docs.x.com/x-api/posts/search/introduction",
    terms_url="https://docs.x.com/developer-terms/agreement",
    datasets=("posts",),
    intervals={},
    page_rows=PAGE_ROWS,
    settle_s=0.0,
    lag_s=errors.LAG_S,
    # Per app, which is who a bearer token stands for. "Pay-per-usage plans are capped at 3 million Post reads per
    # monthly billing cycle": no limit here, or a farm whose owner never set a cap could spend 15,000 USD.
    limits=(Limit(450, 900, _LIMITS),),
    key=KeySpec(
        env=errors.KEY_ENV,
        place="header",
        name="authorization",
        required=True,
        where_to_get="https://console.x.com",
        also=("TWITTER_BEARER_TOKEN", "BEARER_TOKEN"),
        prefix="Bearer ",
    ),
    usage_headers=(UsageHeader("x-rate-limit-remaining", 900, says="left"),),
    batch={"posts": 1},
    reach_days={"posts": REACH_DAYS},
    paid={"posts": "prepaid credits: there is no free plan"},
    charge="0.005 USD for every post it returns (weight 1 each, counted by what a request may return)",
    aliases=("twitter",),
)

_PHRASE = re.compile(r'"([a-z0-9]+(?: [a-z0-9]+)*)"', re.ASCII)


def build(query: Query) -> list[Request]:
    """Return one search for each instrument, newest first; `next_page` follows the window's pages from there.

    A window is asked in whole seconds, the first one included, the last one not; `parse` cuts what is beyond it.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.start is not None and query.end is None:
        raise FixRequest(f"{facts.name}: a window needs an end as well as a start", provider=facts.name)
    if query.start is not None and query.end is not None and query.end <= query.start:
        return []  # begun so lately that nothing of it can be asked yet
    return [_search(native_symbol(instrument), instrument, query) for instrument in dict.fromkeys(query.instruments)]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the same search with the answer's `next_token`; None after the last page, and for a live poll."""
    if request.start is None:
        return None
    try:
        token = _page(answer)[1]
    except BadData:
        return None
    if token is None:
        return None
    kept = tuple(param for param in request.params if param[0] != "next_token")
    return replace(request, params=(*kept, ("next_token", token)))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then a problem, then a body cut short.

    A 200 with `errors` beside posts is a partial success: `parse` reports them.
    """
    problem = errors.problem_of(answer)
    kind = str(problem.get("type")).rpartition("/problems/")[2]
    return (
        answers.limit_or_outage(facts.name, answer, slow=frozenset())
        or errors.waits(kind, problem, answer)
        or errors.refused(kind, problem, answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's posts, newest first, under the first id of their edit history, with their text as it came.

    Raises BadData for a page that is none, or whose token is the one it was asked with.
    """
    page, _ = _page(answer)
    (instrument,) = answer.request.instruments or query.instruments[:1]
    authors = posts.authors_of(page)
    raw = page.get("data", [])
    rows, rejects = answers.sound_rows(raw, lambda row: posts.post(row, authors), posts.SHAPE, instrument)
    rows = [row for row in rows if not _is_rounded_in(row[0], answer.request)]
    columns = list(zip(*rows, strict=True)) or [()] * len(posts.COLUMNS)
    values = {name: list(column) for name, column in zip(posts.COLUMNS, columns, strict=True)}
    return Parsed({"instrument": [instrument] * len(rows)} | values, "ms", (*rejects, *posts.unread(page, instrument)))


def catalogue(text: str = "") -> Request | None:
    """Return None: whatever people write about can be searched for."""
    return None


def listed(answer: Answer) -> list[str]:
    """Return nothing, as there is no catalogue."""
    return []


def native_symbol(instrument: str) -> str:
    """Return the search term: `AAPL` is `$AAPL`, `INTEREST.RATES` is `"interest rates"`. FixRequest for a pair."""
    if is_pair(validate(instrument)):
        said = f"{facts.name} is searched for a ticker or a topic, like BTC, AAPL or INTEREST.RATES; found a pair"
        raise FixRequest(f"{said}: {instrument!r}", provider=facts.name, instrument=instrument)
    return f"${instrument}" if posts.TICKER.fullmatch(instrument) else f'"{instrument.replace(".", " ").lower()}"'


def instrument_of(native: str) -> str | None:
    """Return the ticker of a cashtag or the topic of a phrase; None for a phrase that its topic would not ask for."""
    phrase = _PHRASE.fullmatch(native)
    name = phrase[1].replace(" ", ".").upper() if phrase else native[1:].upper() if native[:1] == "$" else ""
    is_ours = is_instrument(name) and bool(posts.TICKER.fullmatch(name)) is (phrase is None)
    return name if is_ours else None


def _search(native: str, instrument: str, query: Query) -> Request:
    rows = NEWEST_ROWS if query.start is None else PAGE_ROWS
    params = [
        ("query", f"{native} {_FILTER}"),
        ("max_results", str(rows)),
        ("tweet.fields", _FIELDS),
        ("sort_order", "recency"),
    ]
    if query.start is None or query.end is None:
        return Request(_PATH, tuple(params), (), (instrument,), rows)
    first, last = _seconds(query.start, query.end)
    params += [("start_time", f"{first:%Y-%m-%dT%H:%M:%SZ}"), ("end_time", f"{last:%Y-%m-%dT%H:%M:%SZ}")]
    return Request(_PATH, tuple(params), (), (instrument,), rows, query.start, query.end)


def _seconds(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the whole seconds around a window: its times are "in second granularity"."""
    last = end.astimezone(UTC)
    whole = last.replace(microsecond=0)
    return start.astimezone(UTC).replace(microsecond=0), whole if whole == last else whole + timedelta(seconds=1)


def _is_rounded_in(ts_ms: int, request: Request) -> bool:
    """Say whether a post came only because the window was asked in whole seconds."""
    if request.start is None or request.end is None:
        return False
    first, last = _seconds(request.start, request.end)
    return epoch_ms(first) * 1000 <= ts_ms * 1000 < epoch_us(request.start) or (
        epoch_us(request.end) <= ts_ms * 1000 < epoch_us(last)
    )


def _page(answer: Answer) -> tuple[dict[str, Any], str | None]:
    """Return the page and the token of the following one. Zero hits are a page without `data`."""
    page = answers.load(facts.name, answer, numbers_as_text=True)
    meta = page.get("meta") if type(page) is dict else None
    if type(meta) is not dict or type(page.get("data", [])) is not list:
        raise _bad_page("expected meta, and a list in data", answer)
    if "data" not in page and meta.get("result_count") != "0":
        raise _bad_page("it has no data, yet does not say that there is none", answer)
    token = meta.get("next_token")
    if token is not None and (type(token) is not str or ("next_token", token) in answer.request.params):
        raise _bad_page("its next_token is none, or the one it was asked with: the older posts can't be read", answer)
    return page, token


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{facts.name} sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)
