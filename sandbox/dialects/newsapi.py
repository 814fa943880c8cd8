"""NewsAPI.org v2: everything and top-headlines over synthetic articles, on the Developer plan, whose bounds are dials.

Deliberately not here: the list of sources, languages. Invariant: the results of one search are in one order, and its
pages are slices of them; what the plan does not serve is refused, never left out of `totalResults`.

Source: https://newsapi.org/docs (endpoints, errors, authentication), https://newsapi.org/pricing, read autumn 2026. Not
there, but in public code: the texts of refusals, 426 for what a plan does not serve, "[Removed]" articles (unconfirmed,
so a dial that is off), 50 requests in 12 hours.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha1

from sandbox.allowance import SlidingWindow
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.news_wire import SUBJECTS, Article, Event, article_of, newest_first
from sandbox.newsapi_query import CATEGORIES, Asked, Plan, RefusedError, read_everything, read_headlines

SANDBOX_KEY = "sandbox-key"
_JSON = "application/json; charset=utf-8"
_HALF_DAY_S, _DAY_S = 43_200, 86_400
_DOCS = "https://newsapi.org/docs/errors, autumn 2026"
_PRICING = "https://newsapi.org/pricing, autumn 2026"
_CLOSED = Example("news", "BITCOIN", start="-13d00:00:00", end="-10d00:00:00")
_REMOVED = "[Removed]"
#: As many as its headlines usually are; they are not the whole day's.
_HEADLINES = 38


def open_dialect(seed: int) -> "NewsApi":
    return NewsApi(seed)


class NewsApi:
    """One key's searches. `removed_every`: one article of so many comes as "[Removed]"; 0 is none."""

    error_body = (
        b'{"status":"error","code":"unexpectedError","message":"This shouldn\'t happen, and if it does then it\'s our '
        b'fault, not yours. Try the request again shortly."}'
    )

    def __init__(self, seed: int) -> None:
        self.limits = {
            "requests_per_day": 100,
            "requests_per_12_hours": 50,
            "results_most": 100,
            "reach_days": 30,
            "delay_hours": 24,
            "removed_every": 0,
        }
        self._seed = seed
        self._searches: dict[str, Callable[..., Asked]] = {
            "/everything": read_everything,
            "/top-headlines": read_headlines,
        }
        self.forget_spending()

    def forget_spending(self) -> None:
        self._half_day, self._day = SlidingWindow(_HALF_DAY_S), SlidingWindow(_DAY_S)

    def answer(self, request: Request) -> Answer | LongWork:
        try:
            self._check_key(request)
            self._spend(request)
            read = self._searches.get(request.path)
            if read is None:
                raise RefusedError(404, "endpointNotFound", "The endpoint you have requested does not exist.")
            plan = Plan(*(self.limits[dial] for dial in ("results_most", "reach_days", "delay_hours")))
            asked = read(request.query, plan, now_s=request.now_s)
        except RefusedError as refused:
            return Answer(refused.status, error_document(refused.code, str(refused)), content_type=_JSON)
        return lambda: self._search(asked)

    def _check_key(self, request: Request) -> None:
        """The key may come in either of two headers, or as a parameter."""
        authorization = request.headers.get("authorization", "").removeprefix("Bearer ")
        key = request.headers.get("x-api-key") or authorization or request.query.get("apiKey")
        if not key:
            raise RefusedError(401, "apiKeyMissing", "Your API key is missing. Use the x-api-key HTTP header.")
        if key != SANDBOX_KEY:  # its own text does not repeat the key; others' do, and a client must not care
            raise RefusedError(401, "apiKeyInvalid", f"Your API key {key} is invalid or incorrect. Check your key.")

    def _spend(self, request: Request) -> None:
        windows = (
            (self._half_day, self.limits["requests_per_12_hours"]),
            (self._day, self.limits["requests_per_day"]),
        )
        if any(window.room(SANDBOX_KEY, limit, now_s=request.now_s) <= 0 for window, limit in windows):
            raise RefusedError(429, "rateLimited", _TOO_MANY.format(windows[1][1], windows[0][1]))
        for window, _ in windows:
            window.spend(SANDBOX_KEY, now_s=request.now_s)

    def _search(self, asked: Asked) -> Answer:
        found, every = self._found(asked), self.limits["removed_every"]
        page = [
            article_of(self._seed, asked.subject, event, removed_every=every)
            for event in found[asked.begins : asked.begins + asked.size]
        ]
        body = {"status": "ok", "totalResults": len(found), "articles": [_printed(article) for article in page]}
        return Answer(200, _compact(body), content_type=_JSON)

    def _found(self, asked: Asked) -> list[Event]:
        known = (*SUBJECTS, *(f"top {category}" for category in CATEGORIES))
        if asked.subject not in known:
            return []
        found = list(newest_first(self._seed, asked.subject, asked.first_s, asked.last_s))
        if asked.subject.startswith("top "):
            return found[:_HEADLINES]
        if asked.sort_by != "publishedAt":
            found.sort(key=lambda event: sha1(f"{asked.sort_by} {event}".encode(), usedforsecurity=False).digest())
        return found

    def page(self, body: bytes) -> Page | None:
        """Return None: its rows are objects."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        """Say what can be searched for; there are 0 to 3 articles in ten minutes, sometimes more in one second."""
        bounds = {name: self.limits[name] for name in ("reach_days", "delay_hours", "results_most")}
        return {subject: dict(bounds) for subject in SUBJECTS}

    def examples(self) -> Sequence[Example]:
        """Return windows of several pages (100 a page at most), one between two seconds, and live polls."""
        return (
            _CLOSED,
            Example("news", "INTEREST.RATES", start="-13d06:00:00.500", end="-12d18:00:00.250"),
            Example("news", "APPLE", start="-11d00:00:00", end="-11d03:00:00"),
            Example("news", "BITCOIN"),
            Example("news", "HEADLINES.US.BUSINESS"),
            Example("news", "HEADLINES.US"),
        )

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        """Return a window's articles, or the newest hundred that the plan serves, oldest first."""
        newest_s = int(now_s) - self.limits["delay_hours"] * 3600
        parts = example.instrument.lower().split(".")
        if parts[0] == "headlines":
            subject, first_s, most = f"top {(*parts, 'general')[2]}", newest_s - _DAY_S, _HEADLINES
        else:
            subject, first_s, most = " ".join(parts), newest_s - self.limits["reach_days"] * _DAY_S, 100
        if example.start:
            start, end = (datetime.fromisoformat(text).timestamp() for text in (example.start, example.end))
            found = newest_first(self._seed, subject, int(start), min(int(end), newest_s))
            kept = [event for event in found if start <= event.time_s < end]
        else:
            kept = list(newest_first(self._seed, subject, first_s, newest_s))[:most]
        return [_row(article_of(self._seed, subject, event)) for event in reversed(kept)]

    def error_cases(self) -> Sequence[ErrorCase]:
        def status(code: int, body: bytes) -> dict[str, object]:
            return {"fault": "status", "args": {"status": code, "body": body.decode()}}

        nobody = Example("news", "NOBODY.AT.ALL", start=_CLOSED.start, end=_CLOSED.end)
        spent = error_document("rateLimited", _TOO_MANY.format(100, 50))
        burst = error_document("rateLimited", "You have been rate limited. Back off for a while.")
        exhausted = error_document("apiKeyExhausted", "Your API key has no more requests available.")
        disabled = error_document("apiKeyDisabled", "Your API key has been disabled.")
        invalid = error_document("parameterInvalid", "You've included a parameter which is currently not supported.")
        many = error_document("sourcesTooMany", "You have requested too many sources in a single request.")
        return (
            ErrorCase("a wrong key", _CLOSED, "key", _DOCS, key="wrong"),
            ErrorCase("a disabled key", _CLOSED, "key", _DOCS, fault=status(401, disabled)),
            ErrorCase("the day's requests are spent", _CLOSED, "quota", _PRICING, fault=status(429, spent)),
            ErrorCase("the key's requests are spent", _CLOSED, "quota", _DOCS, fault=status(429, exhausted)),
            ErrorCase("too many requests", _CLOSED, "wait", _DOCS, fault=status(429, burst)),
            ErrorCase("a parameter it has not", _CLOSED, "request", _DOCS, fault=status(400, invalid)),
            ErrorCase("too many sources", _CLOSED, "request", _DOCS, fault=status(400, many)),
            ErrorCase("its side fails", _CLOSED, "again", _DOCS, fault={"fault": "status", "args": {"status": 500}}),
            ErrorCase("an error inside a 200", _CLOSED, "again", _DOCS, fault=status(200, self.error_body)),
            ErrorCase("nobody writes about it", nobody, "nothing", _DOCS),
        )


_TOO_MANY = (
    "You have made too many requests recently. Developer accounts are limited to {} requests over a 24 hour period ({} "
    "requests available every 12 hours). Please upgrade to a paid plan if you need more requests."
)


def error_document(code: str, message: str) -> bytes:
    return _compact({"status": "error", "code": code, "message": message})


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _printed(article: Article) -> dict[str, object]:
    if article.is_removed:
        return {
            "source": {"id": None, "name": _REMOVED},
            "author": None,
            "title": _REMOVED,
            "description": _REMOVED,
            "url": "https://removed.com",
            "urlToImage": None,
            "publishedAt": "1970-01-01T00:00:00Z",
            "content": _REMOVED,
        }
    return {
        "source": {"id": article.paper_id, "name": article.paper},
        "author": article.author,
        "title": article.title,
        "description": article.description,
        "url": article.url,
        "urlToImage": None,
        "publishedAt": _iso(article.time_s),
        "content": article.content,
    }


def _row(article: Article) -> dict[str, str | None]:
    return {
        "ts": _iso(article.time_s),
        "article_id": article.url,
        "title": article.title,
        "url": article.url,
        "source": article.paper,
        "author": article.author,
        "summary": article.description,
        "instruments": "",
    }


def _iso(time_s: int) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
