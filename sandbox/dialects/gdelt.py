"""GDELT's DOC 2.0 API: the list of articles about a topic, out of a made-up world of news.

Deliberately not here: timelines, images, other formats than JSON (they are refused in a sentence, which the real one
answers), translations. Invariant: an answer is JSON, `{}` without a hit, or a sentence in its place; 250 articles at
most, whatever is asked for, and no way to the ones behind them but by time.

Sources, read 2026-11-25: https://blog.gdeltproject.org/gdelt-doc-2-0-api-debuts/; what its clients saw, as
`gdelt_search.py` says; https://github.com/koala73/worldmonitor/issues/5843 (the 429).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from sandbox.contract import Answer, ErrorCase, Example, Page, Request
from sandbox.gdelt_articles import FIRST_S, TICK_S, Article, articles_of, page_text
from sandbox.gdelt_search import Search, SentenceError, read_search

_JSON, _HTML = "application/json; charset=utf-8", "text/html; charset=utf-8"
_SLOW_DOWN = b"Please limit requests to one every 5 seconds or contact the project for larger queries.\n"
_TOO_SHORT = "Your query was too short or too long.\n"

_WEEK = ("2024-03-04T00:00:00+00:00", "2024-03-11T00:00:00+00:00")
_EXAMPLE = Example("news", "BITCOIN", "", "2024-03-04T06:00:00+00:00", "2024-03-04T18:00:00+00:00")
#: A week of a topic is some 1,000 articles: four answers and more.
EXAMPLES = (
    Example("news", "INTEREST.RATES", "", *_WEEK),
    _EXAMPLE,
    Example("news", "OIL.PRICE", "", "2024-03-04T06:07:30.500+00:00", "2024-03-04T07:30:00.001+00:00"),
)

_DEBUT = "https://blog.gdeltproject.org/gdelt-doc-2-0-api-debuts/, 2026-11-25"
_LIMIT = "https://github.com/koala73/worldmonitor/issues/5843, 2026-11-25"
_CLIENT = "https://github.com/alex9smith/gdelt-doc-api/issues/26, 2026-11-25"


def _in_200(body: str) -> dict[str, object]:
    return {"fault": "error_in_200", "args": {"body": body}}


ERROR_CASES = (
    ErrorCase(
        "too many requests", _EXAMPLE, "wait", _LIMIT, {"fault": "status", "args": {"status": 429, "body": "Please"}}
    ),
    ErrorCase("too many requests in a 200", _EXAMPLE, "wait", _LIMIT, _in_200(_SLOW_DOWN.decode())),
    ErrorCase("query too short or too long", _EXAMPLE, "request", _CLIENT, _in_200(_TOO_SHORT)),
    ErrorCase("phrase too short", _EXAMPLE, "request", _CLIENT, _in_200("The specified phrase is too short.\n")),
    ErrorCase("server error", _EXAMPLE, "again", _DEBUT, {"fault": "status", "args": {"status": 503}}),
    ErrorCase("no hits", Example("news", "ZZQQXX", "", *_WEEK), "nothing", _CLIENT),
)


def open_dialect(seed: int) -> "Gdelt":
    return Gdelt(seed)


class Gdelt:
    """One endpoint. Its limit counts per client address."""

    error_body = b"<html><body><h1>503 Service Unavailable</h1></body></html>"

    def __init__(self, seed: int) -> None:
        # `bounds_inclusive`: "after this date" and "before" may mean either. `bad_escapes`: 1 puts escapes that JSON
        # does not know and raw control characters into titles.
        self.limits = {"seconds_between": 5, "articles_per_tick": 3, "bounds_inclusive": 0, "bad_escapes": 0}
        self._seed = seed
        self.forget_spending()

    def forget_spending(self) -> None:
        self._last_s: dict[str, float] = {}

    def answer(self, request: Request) -> Answer:
        if request.path != "/api/v2/doc/doc":
            return Answer(404, b"<html><body><h1>404 Not Found</h1></body></html>", content_type=_HTML)
        # The documentation has one request in 5 s; a refused one does not begin them anew.
        if request.now_s - self._last_s.get(request.client, float("-inf")) < self.limits["seconds_between"]:
            return Answer(429, _SLOW_DOWN, content_type="text/plain; charset=utf-8")
        self._last_s[request.client] = request.now_s
        try:
            search = read_search(request.query, now_s=request.now_s)
            if request.query.get("format", "html").lower() != "json":
                raise SentenceError("Invalid format.")
        except SentenceError as sentence:
            return Answer(200, f"{sentence}\n".encode(), content_type=_HTML)
        found = list(islice(self._found(search, request.now_s), search.records))
        text = page_text(found, bad_escapes=bool(self.limits["bad_escapes"]))
        return Answer(200, text.encode(), content_type=_JSON)

    def _found(self, search: Search, now_s: float) -> Iterator[Article]:
        """Yield the articles of the search, newest first or oldest."""
        inclusive = bool(self.limits["bounds_inclusive"])
        first_s = max(search.after_s + (0 if inclusive else 1), FIRST_S)
        last_s = min(search.before_s - (0 if inclusive else 1), int(now_s))
        ticks = range(-(-first_s // TICK_S), last_s // TICK_S + 1)
        for tick in reversed(ticks) if search.newest_first else ticks:
            yield from (article for article in self._tick(search.topics, tick) if _meets(article, search))

    def _tick(self, topics: Sequence[str], tick: int) -> list[Article]:
        most = self.limits["articles_per_tick"]
        return [article for topic in topics for article in articles_of(self._seed, topic, tick, most)]

    def page(self, body: bytes) -> Page | None:
        """Its rows are objects, and no fault but those of a whole body acts on them."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        """Say when it begins; any topic with a vowel has articles."""
        return {"*": {"first_seen_ms": FIRST_S * 1000, "tick_s": TICK_S}}

    def examples(self) -> Sequence[Example]:
        return EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        """Return the articles of an example's window, oldest first; those of one moment by their address."""
        start, end = (datetime.fromisoformat(text) for text in (example.start, example.end))
        topic = example.instrument.lower().replace(".", " ")
        ticks = range(-int(-start.timestamp() // TICK_S), int(min(end.timestamp(), now_s) // TICK_S) + 1)
        found = [one for tick in ticks for one in self._tick((topic,), tick) if start.timestamp() <= one.seen_s]
        return [
            {
                "ts": datetime.fromtimestamp(article.seen_s, UTC).isoformat(),
                "article_id": article.url,
                "title": article.title,
                "url": article.url,
                "source": article.domain,
                "language": article.language,
            }
            for article in sorted(found, key=lambda one: (one.seen_s, one.url))
            if article.seen_s < end.timestamp()
        ]

    def error_cases(self) -> Sequence[ErrorCase]:
        return ERROR_CASES


def _meets(article: Article, search: Search) -> bool:
    in_language = search.language in ("", article.code, article.language.lower())
    return in_language and search.domain in article.domain
