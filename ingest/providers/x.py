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
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.records import Parsed, Reject
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import epoch_ms, epoch_us
from ingest.providers import answers
from ingest.providers.contract import Facts, Query, UsageHeader
from ingest.wire import Answer, KeySpec, Limit, Request

#: "10 default, 100 max results". Read at each `build`, so that a test can lower it.
PAGE_ROWS = 100
#: What a live poll asks for: the fewest it takes, since each costs money. A window brings them all.
NEWEST_ROWS = 10
#: Search "must be within the last 7 days" at the moment it is answered: a start of just seven days ago is refused.
REACH_DAYS = 6
#: "end_time will default to 'now' (actually 30 seconds before the time of query)".
LAG_S = 30.0

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
    lag_s=LAG_S,
    # Per app, which is who a bearer token stands for. "Pay-per-usage plans are capped at 3 million Post reads per
    # monthly billing cycle": no limit here, or a farm whose owner never set a cap could spend 15,000 USD.
    limits=(Limit(450, 900, _LIMITS),),
    key=KeySpec(
        env="X_BEARER_TOKEN",
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

#: Source: twitter/twitter-text, its pattern of a cashtag, less the underscore, which our grammar has not.
_TICKER = re.compile(r"[A-Z]{1,6}(?:\.[A-Z]{1,2})?", re.ASCII)
_PHRASE = re.compile(r'"([a-z0-9]+(?: [a-z0-9]+)*)"', re.ASCII)
_ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
#: Our column -> the public metric, and what it was called before the newest edition (`post.fields`) renamed it.
_METRICS = {
    "likes": ("like_count",),
    "reposts": ("retweet_count", "repost_count"),
    "replies": ("reply_count",),
    "quotes": ("quote_count",),
    "bookmarks": ("bookmark_count",),
    "impressions": ("impression_count",),
}
_COLUMNS = ("ts", "post_id", "author_id", "author", "text", "language", "instruments", *_METRICS)
_POST_SHAPE = "expected an object with an id, created_at in UTC, and text in author_id, text and lang"
_UNREAD_SHAPE = "X could not return something this answer refers to"
#: What follows `/problems/` in a problem's type. "usage-capped" is documented; "credits" (in a 402) is not, but seen.
_SPENT = ("usage-capped", "credits", "credits-depleted")
_THROTTLED = "rate-limit-exceeded"
_TOO_YOUNG = re.compile(r"'end_time' must be a minimum of \d+ seconds prior to the request time")
_PARAMETERS = ("query", "start_time", "end_time", "max_results", "next_token", "tweet.fields", "sort_order")


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
    problem = _problem(answer)
    kind = str(problem.get("type")).rpartition("/problems/")[2]
    return (
        answers.limit_or_outage(facts.name, answer, slow=frozenset())
        or _waits(kind, problem, answer)
        or _refused(kind, problem, answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's posts, newest first, under the first id of their edit history, with their text as it came.

    Raises BadData for a page that is none, or whose token is the one it was asked with.
    """
    page, _ = _page(answer)
    (instrument,) = answer.request.instruments or query.instruments[:1]
    authors = _authors(page)
    raw = page.get("data", [])
    rows, rejects = answers.sound_rows(raw, lambda row: _post(row, authors), _POST_SHAPE, instrument)
    rows = [row for row in rows if not _is_rounded_in(row[0], answer.request)]
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    values = {name: list(column) for name, column in zip(_COLUMNS, columns, strict=True)}
    return Parsed({"instrument": [instrument] * len(rows)} | values, "ms", (*rejects, *_unread(page, instrument)))


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
    return f"${instrument}" if _TICKER.fullmatch(instrument) else f'"{instrument.replace(".", " ").lower()}"'


def instrument_of(native: str) -> str | None:
    """Return the ticker of a cashtag or the topic of a phrase; None for a phrase that its topic would not ask for."""
    phrase = _PHRASE.fullmatch(native)
    name = phrase[1].replace(" ", ".").upper() if phrase else native[1:].upper() if native[:1] == "$" else ""
    is_ours = is_instrument(name) and bool(_TICKER.fullmatch(name)) is (phrase is None)
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


def _authors(page: Mapping[str, Any]) -> dict[str, str]:
    """Return names by id, where somebody's proxy expands them: we don't ask for them."""
    includes = page.get("includes")
    users = includes.get("users") if type(includes) is dict else None
    found = [user for user in users if type(user) is dict] if type(users) is list else []
    texts = [(user.get("id"), user.get("username")) for user in found]
    return {key: name for key, name in texts if type(key) is str and type(name) is str}


def _post(raw: Any, authors: Mapping[str, str]) -> tuple[Any, ...] | None:
    """Return a post's columns. Each edit has an id of its own; the history begins with the first ("oldest first")."""
    if type(raw) is not dict:
        return None
    history = raw.get("edit_history_tweet_ids") or raw.get("edit_history_post_ids") or [raw.get("id")]
    post_id = history[0] if type(history) is list else None
    ts, metrics = _epoch_ms(raw.get("created_at")), raw.get("public_metrics") or {}
    author_id, text, language = raw.get("author_id"), raw.get("text"), raw.get("lang")
    if type(post_id) is not str or ts is None or type(metrics) is not dict:
        return None
    counts = [next((metrics[name] for name in names if name in metrics), None) for names in _METRICS.values()]
    if not {type(value) for value in (author_id, text, language, *counts)} <= answers.TEXT_OR_NULL:
        return None
    author = None if author_id is None else authors.get(author_id)
    return (ts, post_id, author_id, author, text, language, _cashtags(raw.get("entities")), *counts)


def _epoch_ms(text: Any) -> int | None:
    if type(text) is not str or not _ISO_UTC.fullmatch(text):
        return None
    try:
        return epoch_ms(datetime.fromisoformat(text))
    except ValueError:
        return None


def _cashtags(entities: Any) -> str:
    """Return the instruments of a post's cashtags in their order, each once, joined by commas."""
    tags = entities.get("cashtags") if type(entities) is dict else None
    texts = [tag.get("tag") for tag in tags if type(tag) is dict] if type(tags) is list else []
    names = [text.upper() for text in texts if type(text) is str and text.isascii()]
    return ",".join(dict.fromkeys(name for name in names if _TICKER.fullmatch(name)))


def _unread(page: Mapping[str, Any], instrument: str) -> list[Reject]:
    """Return the `errors` beside posts, without their texts."""
    errors = page.get("errors")
    if type(errors) is not list:
        return []
    kept = [
        {name: one.get(name) for name in ("type", "resource_type", "resource_id")} if type(one) is dict else one
        for one in errors
    ]
    return [answers.reject(one, rule="missing_field", reason=_UNREAD_SHAPE, instrument=instrument) for one in kept]


def _problem(answer: Answer) -> dict[str, Any]:
    """Return the problem that the body is, or whose `errors` is all it has; {} where there are posts beside it."""
    body = answers.error_object(answer, b"/problems/")
    if "data" in body or "meta" in body:
        return {}
    errors = body.get("errors")
    if "type" not in body and type(errors) is list and errors and type(errors[0]) is dict:
        return errors[0]
    return body


def _waits(kind: str, problem: Mapping[str, Any], answer: Answer) -> SlowDown | TryAgain | None:
    """Return how long to wait. The money's end has no time: it is looked at again when the UTC day turns."""
    wait: float | None
    if answer.status == 402 or kind in _SPENT:
        said, wait = "the credits or the month's posts are spent; see https://console.x.com", _to_midnight_s(answer)
    elif answer.status == 429 or kind == _THROTTLED:
        said, wait = "too many requests in 15 minutes", _to_reset_s(answer)
    elif answer.status == 400 and _is_too_young(problem):
        said, wait = "the window ends too near to now", LAG_S
    elif kind == "internal-error":
        return TryAgain(f"{facts.name} failed on its side", provider=facts.name, status=answer.status)
    else:
        return None
    message = f"{facts.name} (HTTP {answer.status}): {said}"
    return SlowDown(message, provider=facts.name, status=answer.status, retry_after_s=wait)


def _to_midnight_s(answer: Answer) -> float:
    now = answer.received_at.astimezone(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds()


def _to_reset_s(answer: Answer) -> float | None:
    """Return the seconds until `x-rate-limit-reset`, a Unix time, else Retry-After."""
    text = answer.headers.get("x-rate-limit-reset", "").strip()
    if not re.fullmatch(r"\d{10}", text, re.ASCII):
        return answers.retry_after_s(answer.headers)
    return max(0.0, int(text) - epoch_us(answer.received_at) / 1_000_000)


def _messages(problem: Mapping[str, Any]) -> list[str]:
    errors = problem.get("errors")
    found = [one.get("message") for one in errors if type(one) is dict] if type(errors) is list else []
    return [text for text in (*found, problem.get("detail")) if type(text) is str]


def _is_too_young(problem: Mapping[str, Any]) -> bool:
    return any(_TOO_YOUNG.search(text) for text in _messages(problem))


def _refused(kind: str, problem: Mapping[str, Any], answer: Answer) -> FixRequest | None:
    """Never quotes the provider's text. The parameters it names are ours, so these can be told."""
    if answer.status == 401:
        said = f"{facts.name} does not accept the token in {_env()}; get another at https://console.x.com"
        return KeyRefused(said, provider=facts.name, status=401)
    instrument = answers.only_instrument(answer)
    if answer.status == 403:
        said = f"the app of the token in {_env()} may not use recent search, or not this operator (cashtags need more)"
    elif kind and problem:
        texts = " ".join(_messages(problem))
        named = [name for name in _PARAMETERS if f"'{name}'" in texts or f"[{name}]" in texts]
        said = f"it can't answer the search as asked; it objects to {', '.join(named) or 'something it does not name'}"
    else:
        return None
    message = f"{facts.name} (HTTP {answer.status}): {said}"
    return FixRequest(message, provider=facts.name, status=answer.status, instrument=instrument)


def _env() -> str:
    return facts.key.env if facts.key is not None else ""
