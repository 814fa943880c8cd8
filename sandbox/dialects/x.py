"""X (Twitter) API v2: recent search over synthetic posts, its pages, its two meters, its problems.

Deliberately not here: the full archive, counts, streams, users. A query is one subject (`x_posts.SUBJECTS`) with
`lang:` and `is:retweet`, negated or not; one of several subjects finds nothing. Invariant: the pages of one query,
joined, are its posts, newest first, each once.

Source: https://github.com/xdevplatform/docs (openapi.json 2.167; search, paginate, edit-posts, rate-limits, pricing,
response-codes-and-errors), 2026-08-22. Not there, but seen in public code: the texts about `start_time` and `end_time`,
and 402 for spent credits (unconfirmed).
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.x_meter import Meter
from sandbox.x_posts import SUBJECTS, Post, moment_of, newest_first
from sandbox.x_problems import (
    BAD_QUERY,
    FORBIDDEN,
    INTERNAL,
    OUT_OF_CREDITS,
    OVER_LIMIT,
    RATE_LIMITED,
    USAGE_CAPPED,
    blank,
    compact,
    invalid_request,
)
from sandbox.x_query import LEAST_ROWS, Asked, InvalidError, read_query

SANDBOX_KEY = "sandbox-key"
PATH = "/tweets/search/recent"
#: "end_time will default to 'now' (actually 30 seconds before the time of query)".
LAG_MS = 30_000
_JSON = "application/json; charset=utf-8"
_DOCS = "https://docs.x.com/x-api/fundamentals/response-codes-and-errors, 2026-08-22"
_PRICING = "https://docs.x.com/x-api/getting-started/pricing, 2026-08-22"
_ALWAYS = ("id", "text", "edit_history_tweet_ids")
_CLOSED = Example("posts", "AAPL", start="-3d00:00:00", end="-3d06:00:00")


def open_dialect(seed: int) -> "X":
    return X(seed)


class X:
    """Recent search for one app. `posts_per_cycle` is the cap of its plan, `credit_posts` what its credits pay for."""

    error_body = INTERNAL

    def __init__(self, seed: int) -> None:
        self.limits = {
            "requests_per_15_minutes": 450,
            "posts_per_cycle": 3_000_000,
            "credit_posts": 3_000_000,
            "reach_days": 7,
        }
        self._seed = seed
        self.forget_spending()

    def forget_spending(self) -> None:
        self._meter = Meter()

    def answer(self, request: Request) -> Answer | LongWork:
        if request.headers.get("authorization") != f"Bearer {SANDBOX_KEY}":
            return Answer(401, blank(401, "Unauthorized"), content_type=_JSON)
        if request.path != PATH:
            return Answer(404, blank(404, "Not Found"), content_type=_JSON)
        refusal = self._spend(request)
        if refusal is not None:
            return refusal
        try:
            asked = read_query(request.query, now_s=request.now_s, reach_days=self.limits["reach_days"])
        except InvalidError as invalid:
            return self._said(400, invalid_request(invalid.parameter, invalid.value, str(invalid)))
        return lambda: self._search(asked, request)

    def _spend(self, request: Request) -> Answer | None:
        if not self._meter.spend_request(self.limits["requests_per_15_minutes"], now_s=request.now_s):
            return self._said(429, OVER_LIMIT)
        if self._meter.posts >= self.limits["credit_posts"]:
            return self._said(402, OUT_OF_CREDITS)
        if self._meter.posts >= self.limits["posts_per_cycle"]:
            return self._said(429, USAGE_CAPPED)
        return None

    def _said(self, status: int, body: bytes) -> Answer:
        limit = self.limits["requests_per_15_minutes"]
        headers = (
            ("x-rate-limit-limit", str(limit)),
            ("x-rate-limit-remaining", str(self._meter.remaining(limit))),
            ("x-rate-limit-reset", str(self._meter.reset_s())),
        )
        return Answer(status, body, headers, _JSON)

    def _search(self, asked: Asked, request: Request) -> Answer:
        page = list(islice(self._hits(asked, request.now_ms), asked.rows + 1))
        posts = page[: asked.rows]
        self._meter.bill([post.id for post in posts], now_s=request.now_s)
        if not posts:
            return self._said(200, b'{"meta":{"result_count":0}}')
        meta: dict[str, object] = {
            "newest_id": str(posts[0].id),
            "oldest_id": str(posts[-1].id),
            "result_count": len(posts),
        }
        if len(page) > asked.rows:
            meta["next_token"] = asked.token_after(posts[-1].id)
        body: dict[str, object] = {"data": [_printed(post, asked.fields) for post in posts]}
        if asked.with_authors:
            users = dict.fromkeys(post.author_id for post in posts)
            body["includes"] = {"users": [{"id": str(u), "name": "Somebody", "username": f"user{u}"} for u in users]}
        return self._said(200, compact({**body, "meta": meta}))

    def _hits(self, asked: Asked, now_ms: int) -> Iterator[Post]:
        """Yield what a query finds, newest first."""
        start_ms = now_ms - self.limits["reach_days"] * 86_400_000 if asked.start_ms is None else asked.start_ms
        end_ms = now_ms - LAG_MS if asked.end_ms is None else asked.end_ms
        if asked.until_id is not None:
            end_ms = min(end_ms, moment_of(asked.until_id) + 1)
        for post in newest_first(self._seed, asked.subject, start_ms, end_ms):
            if asked.until_id is not None and post.id >= asked.until_id:
                continue
            if asked.since_id is not None and post.id <= asked.since_id:
                return
            if asked.language not in (None, post.language) or asked.is_repost not in (None, post.is_repost):
                continue
            yield post

    def page(self, body: bytes) -> Page | None:
        """Return None: its rows are objects."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        """Say what can be searched for; there are 0 to 3 posts a minute on each, some Spanish, some reposts."""
        return {
            subject: {"reach_days": self.limits["reach_days"], "cashtags": SUBJECTS[subject]} for subject in SUBJECTS
        }

    def examples(self) -> Sequence[Example]:
        """Return windows of several pages (100 a page at most), one between two seconds, and a live poll of 10."""
        return (
            _CLOSED,
            Example("posts", "BRK.B", start="-3d01:00:00.250", end="-3d04:00:00.750"),
            Example("posts", "INTEREST.RATES", start="-3d22:00:00", end="-2d02:30:00"),
            Example("posts", "MSFT"),
        )

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        """Return English posts that are no reposts, oldest first: of the window, or the newest ten."""
        name = example.instrument
        subject = f"${name}" if f"${name}" in SUBJECTS else f'"{name.replace(".", " ").lower()}"'
        end_ms = _ms(example.end) if example.end else int(now_s * 1000) - LAG_MS
        start_ms = _ms(example.start) if example.start else end_ms - 7 * 86_400_000
        found = newest_first(self._seed, subject, start_ms, end_ms)
        kept = (post for post in found if post.language == "en" and not post.is_repost)
        return [_row(post) for post in reversed(list(kept if example.start else islice(kept, LEAST_ROWS)))]

    def error_cases(self) -> Sequence[ErrorCase]:
        def status(code: int, body: bytes) -> dict[str, object]:
            return {"fault": "status", "args": {"status": code, "body": body.decode()}}

        nobody = Example("posts", "ZZZZZZ", start=_CLOSED.start, end=_CLOSED.end)
        return (
            ErrorCase("a wrong token", _CLOSED, "key", _DOCS, key="wrong"),
            ErrorCase("an app without access", _CLOSED, "plan", _DOCS, fault=status(403, FORBIDDEN)),
            ErrorCase("too many requests", _CLOSED, "wait", _DOCS, fault=status(429, RATE_LIMITED)),
            ErrorCase("the month's posts are spent", _CLOSED, "quota", _DOCS, fault=status(429, USAGE_CAPPED)),
            ErrorCase("the credits are spent", _CLOSED, "quota", _PRICING, fault=status(402, OUT_OF_CREDITS)),
            ErrorCase("a malformed query", _CLOSED, "request", _DOCS, fault=status(400, BAD_QUERY)),
            ErrorCase("its side fails", _CLOSED, "again", _DOCS, fault={"fault": "status", "args": {"status": 503}}),
            ErrorCase("nobody writes about it", nobody, "nothing", _DOCS),
        )


def _printed(post: Post, fields: frozenset[str]) -> dict[str, object]:
    """Print a post: "the default response includes id, text, and edit_history_tweet_ids", the rest as asked for."""
    moment = datetime.fromtimestamp(post.time_ms // 1000, UTC)
    every: dict[str, object] = {
        "id": str(post.id),
        "text": post.text,
        "edit_history_tweet_ids": [str(one) for one in post.history],
        "created_at": f"{moment:%Y-%m-%dT%H:%M:%S}.{post.time_ms % 1000:03d}Z",
        "author_id": str(post.author_id),
        "lang": post.language,
        "conversation_id": str(post.history[0]),
        "public_metrics": {
            "retweet_count": post.reposts,
            "reply_count": post.replies,
            "like_count": post.likes,
            "quote_count": post.quotes,
            "bookmark_count": post.bookmarks,
            "impression_count": post.impressions,
        },
    }
    if post.cashtags:
        spans = [(found.span(), found[1]) for found in re.finditer(r"\$([A-Z]+(?:\.[A-Z]+)?)", post.text)]
        every["entities"] = {"cashtags": [{"start": a, "end": b, "tag": tag} for (a, b), tag in spans]}
    return {name: value for name, value in every.items() if name in _ALWAYS or name in fields}


def _row(post: Post) -> dict[str, str | None]:
    moment = datetime.fromtimestamp(post.time_ms // 1000, UTC)
    return {
        "ts": f"{moment:%Y-%m-%dT%H:%M:%S}.{post.time_ms % 1000:03d}Z",
        "post_id": str(post.history[0]),
        "author_id": str(post.author_id),
        "text": post.text,
        "language": post.language,
        "instruments": ",".join(post.cashtags),
        "likes": str(post.likes),
        "reposts": str(post.reposts),
        "replies": str(post.replies),
        "quotes": str(post.quotes),
        "bookmarks": str(post.bookmarks),
        "impressions": str(post.impressions),
    }


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
