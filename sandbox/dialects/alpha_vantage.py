"""Alpha Vantage: time series, rates, quotes, news with sentiment and economic indicators, all at /query by `function`.

Days of shares are real (`alpha_vantage_market.py` says what is synthetic), so their newest day is 2013-03-01.

Deliberately not here: CSV, technical indicators, commodities, fundamentals, weekly and monthly series of prices.
Invariant: every answer is a 200, and an error is one sentence under one key, which may repeat the caller's key.

Sources, read autumn 2026: https://www.alphavantage.co/documentation and https://www.alphavantage.co/premium; the
sentences from RomelTorres/alpha_vantage, finance-quote/finance-quote pull 104, beancount/beanprice issue 124. When the
day of the quota turns is not documented: here at midnight UTC.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sandbox.allowance import DailyCount, SlidingWindow
from sandbox.alpha_vantage_cases import ERROR_CASES, EXAMPLES, THROTTLED, quota_text
from sandbox.alpha_vantage_economy import INDICATORS, MATURITIES, values
from sandbox.alpha_vantage_market import SHARES, AlphaVantageMarket
from sandbox.alpha_vantage_news import TICKERS, TOPICS, Article, articles
from sandbox.alpha_vantage_parameters import NEWS_INVALID, SentenceError, invalid, listed, news_time
from sandbox.alpha_vantage_prices import PricePages
from sandbox.alpha_vantage_rows import expected_rows
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request

SANDBOX_KEY = "sandbox-key"
NEWS_DEFAULT, NEWS_MOST = 50, 1_000
_NO_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on "
    "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
)
_DEMO = (
    "The **demo** API key is for demo purposes only. Please claim your free API key at "
    "(https://www.alphavantage.co/support/#api-key) to explore our full API offerings."
)


def open_dialect(seed: int) -> "AlphaVantage":
    return AlphaVantage(seed)


class AlphaVantage:
    """The functions, their parameters and defaults. `entitled` says whether the key may use what is premium."""

    error_body = b"<html><head><title>503 Service Temporarily Unavailable</title></head><body></body></html>"

    def __init__(self, seed: int) -> None:
        self.limits = {
            "requests_per_day": 25,
            "requests_per_s": 1,
            "entitled": 1,
            # How far `full` minutes of pairs and the days of a coin reach back.
            "minutes_days": 30,
            "coin_days": 350,
        }
        self._market = AlphaVantageMarket(seed)
        prices = PricePages(self._market, self.limits)
        self._functions: dict[str, Callable[[Request], object]] = {
            "TIME_SERIES_INTRADAY": prices.intraday,
            "TIME_SERIES_DAILY": prices.daily,
            "TIME_SERIES_DAILY_ADJUSTED": prices.daily,
            "GLOBAL_QUOTE": prices.quote,
            "CURRENCY_EXCHANGE_RATE": prices.rate,
            "FX_INTRADAY": prices.money,
            "FX_DAILY": prices.money,
            "CRYPTO_INTRADAY": prices.coin,
            "DIGITAL_CURRENCY_DAILY": prices.coin,
            "NEWS_SENTIMENT": self._news,
            "SYMBOL_SEARCH": self._search,
        }
        self.forget_spending()

    def forget_spending(self) -> None:
        self._day, self._second = DailyCount(), SlidingWindow(1)

    def answer(self, request: Request) -> Answer | LongWork:
        if request.path != "/query":
            return Answer(404, b"<html><body>Not Found</body></html>", content_type="text/html")
        try:
            self._spend(request)
        except SentenceError as said:
            return _printed({said.key: str(said)})
        return lambda: self._answered(request)

    def _spend(self, request: Request) -> None:
        key = request.query.get("apikey", "")
        if key == "demo":
            raise SentenceError("Information", _DEMO)
        if key != SANDBOX_KEY:
            raise SentenceError("Error Message", _NO_KEY)
        if self._second.room(key, self.limits["requests_per_s"], now_s=request.now_s) <= 0:
            raise SentenceError("Information", THROTTLED)
        if self._day.room(key, self.limits["requests_per_day"], now_s=request.now_s) <= 0:
            raise SentenceError("Information", quota_text(key, self.limits["requests_per_day"]))
        self._second.spend(key, now_s=request.now_s)
        self._day.spend(key, now_s=request.now_s)

    def _answered(self, request: Request) -> Answer:
        name = request.query.get("function", "")
        try:
            if name in INDICATORS:
                return _printed(self._indicator(request))
            if name not in self._functions:
                text = f"This API function ({name}) does not exist."
                raise SentenceError("Error Message", text)
            return _printed(self._functions[name](request))
        except SentenceError as said:
            return _printed({said.key: str(said)})

    def _news(self, request: Request) -> object:
        query = request.query
        asked, topics = listed(query, "tickers"), listed(query, "topics")
        first_s, end_s = news_time(query, "time_from"), news_time(query, "time_to")
        sort, limit = query.get("sort", "LATEST"), query.get("limit", str(NEWS_DEFAULT))
        is_known = set(asked) <= set(TICKERS) and set(topics) <= set(TOPICS)
        if (
            not is_known
            or sort not in ("LATEST", "EARLIEST", "RELEVANCE")
            or not re.fullmatch("[1-9][0-9]{0,3}", limit)
        ):
            raise SentenceError("Information", NEWS_INVALID)
        most, now_s = min(int(limit), NEWS_MOST), int(request.now_s)
        end_s = now_s if end_s is None else min(end_s + 60, now_s)
        found = self.articles(asked, topics, first_s, end_s, most if sort != "EARLIEST" else None)
        if sort == "RELEVANCE":
            found.sort(key=lambda one: one.tickers[0][1], reverse=True)
        elif sort == "LATEST":
            found.reverse()
        feed = [_printed_article(one) for one in found[:most]]
        return {
            "items": str(len(feed)),
            "sentiment_score_definition": "x <= -0.35: Bearish; -0.35 < x <= -0.15: Somewhat-Bearish; ..",
            "relevance_score_definition": "0 < x <= 1, with a higher score indicating higher relevance.",
            "feed": feed,
        }

    def articles(
        self, tickers: Sequence[str], topics: Sequence[str], first_s: int | None, end_s: int, newest: int | None
    ) -> list[Article]:
        """Return the articles about all the tickers and any of the topics, oldest first; or so many of the newest."""
        step_s, found = 20 * 86_400, list[Article]()
        until = end_s
        while first_s is None or until > first_s:
            since = until - step_s if first_s is None else max(first_s, until - step_s)
            some = articles(self._market.walk.numbers, since, until)
            found = [one for one in some if _is_about(one, tickers, topics)] + found
            if (newest is not None and len(found) >= newest) or since <= 0:
                break
            until = since
        return found if newest is None else found[-newest:]

    def _indicator(self, request: Request) -> object:
        name = request.query["function"]
        indicator = INDICATORS[name]
        interval = request.query.get("interval", indicator.intervals[0])
        maturity = request.query.get("maturity", "10year")
        if interval not in indicator.intervals or maturity not in MATURITIES:
            raise invalid(name)
        series = f"{name}/{maturity}" if name == "TREASURY_YIELD" else name
        today = datetime.fromtimestamp(request.now_s, UTC).date()
        rows = values(self._market.walk.numbers, series, indicator.typical, interval, today)
        return {
            "name": indicator.name.format(MATURITIES[maturity]),
            "interval": interval,
            "unit": indicator.unit,
            "data": [{"date": day, "value": value} for day, value in reversed(rows)],
        }

    def _search(self, request: Request) -> object:
        words = request.query.get("keywords", "").upper()
        if not words:
            raise invalid("SYMBOL_SEARCH")
        found = [share for share in (*SHARES, "BRK-B", "TSCO.LON") if words in share]
        return {
            "bestMatches": [
                {"1. symbol": share, "2. name": share, "3. type": "Equity", "9. matchScore": "1.0000"}
                for share in found
            ]
        }

    def page(self, body: bytes) -> Page | None:
        """Return None: rows are objects by their time, never lists."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        return {
            share: {"rows": len(days), "first": str(days[0][0].at), "last": str(days[-1][0].at)}
            for share in SHARES
            if (days := self._market.days(share))
        }

    def examples(self) -> Sequence[Example]:
        return EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return expected_rows(self._market, self.articles, example, now_s=now_s)

    def error_cases(self) -> Sequence[ErrorCase]:
        return ERROR_CASES


def _printed(document: object) -> Answer:
    return Answer(200, json.dumps(document, indent=4, ensure_ascii=False).encode(), content_type="application/json")


def _is_about(article: Article, tickers: Sequence[str], topics: Sequence[str]) -> bool:
    """ "tickers=COIN,CRYPTO:BTC" are "articles that simultaneously mention" both."""
    named = {one[0] for one in article.tickers}
    return named >= set(tickers) and (not topics or bool(set(topics) & set(article.topics)))


def _printed_article(one: Article) -> dict[str, object]:
    return {
        "title": one.title,
        "url": one.url,
        "time_published": f"{datetime.fromtimestamp(one.at_s, UTC):%Y%m%dT%H%M%S}",
        "authors": list(one.authors),
        "summary": one.summary,
        "banner_image": None,
        "source": one.source,
        "category_within_source": "n/a",
        "source_domain": "news.example",
        "topics": [{"topic": topic, "relevance_score": "0.5"} for topic in one.topics],
        "overall_sentiment_score": one.score,
        "overall_sentiment_label": one.label,
        "ticker_sentiment": [
            {
                "ticker": ticker,
                "relevance_score": relevance,
                "ticker_sentiment_score": score,
                "ticker_sentiment_label": label,
            }
            for ticker, relevance, score, label in one.tickers
        ],
    }
