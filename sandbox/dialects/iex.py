"""IEX Cloud v1, as an archive of it answers: chart, intraday-prices, quote, tops, deep/trades, news, ref-data/symbols.

The service itself ended on 2024-08-31. Ranges that count back from today count from the archive's last day here, which
is 2013-03-01 for days of shares (`iex_market.py` says what is synthetic).

Deliberately not here: batches of several types, streams, deep/book, economic series, and the 10-minute ranges.
Invariant: data are JSON and errors are plain text; numbers are printed as the market's own text.

Sources, read autumn 2026: archived https://iexcloud.io/docs/api (chart, tops, deep, news, error codes) and its FAQ;
timkpaine/pyEX; public code search for the sentences. Field lists are partly unconfirmed.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from sandbox.allowance import SlidingWindow
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.iex_cases import ERROR_CASES, EXAMPLES
from sandbox.iex_market import NEW_YORK, OTHER_SYMBOLS, SHARES, Day, IexMarket, Minute, price_text
from sandbox.iex_rows import expected_rows

SANDBOX_KEY = "sandbox-key"
SYMBOLS_MOST, TRADES_DEFAULT, TRADES_MOST, NEWS_MOST = 100, 20, 500, 50
Row = TypeVar("Row")
_STOCK = re.compile(r"/stock/([^/]+)/(.+)")
#: Days of a range, counted back from the newest.
_RANGE_DAYS = {"5d": 7, "1m": 31, "3m": 92, "6m": 183, "1y": 366, "2y": 731, "5y": 1_827, "max": 36_500}


def open_dialect(seed: int) -> "Iex":
    return Iex(seed)


class PlainError(Exception):
    """A request that is refused with a status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Iex:
    """The endpoints; `messages_per_month` is the quota, in calls, 0 for as many as you like."""

    error_body = b"Internal Server Error"

    def __init__(self, seed: int) -> None:
        self.limits = {"requests_per_s": 100, "messages_per_month": 0}
        self._market = IexMarket(seed)
        self.forget_spending()

    def forget_spending(self) -> None:
        self._second = SlidingWindow(1)
        self._month: dict[str, int] = {}

    def answer(self, request: Request) -> Answer | LongWork:
        try:
            self._spend(request)
        except PlainError as refused:
            return _plain(refused)
        return lambda: self._answered(request)

    def _answered(self, request: Request) -> Answer:
        try:
            body = self._body(request)
        except PlainError as refused:
            return _plain(refused)
        return Answer(200, body.encode(), (("iexcloud-messages-used", "1"),), "application/json; charset=utf-8")

    def _spend(self, request: Request) -> None:
        token = request.query.get("token", "")
        if not token:
            raise PlainError(401, "An API key is required to access the requested endpoint.")
        if token != SANDBOX_KEY:
            raise PlainError(403, "The API key provided is not valid.")
        if self._second.room(request.client, self.limits["requests_per_s"], now_s=request.now_s) <= 0:
            raise PlainError(429, "Too many requests")
        self._second.spend(request.client, now_s=request.now_s)
        month, most = f"{datetime.fromtimestamp(request.now_s, UTC):%Y-%m}", self.limits["messages_per_month"]
        self._month[month] = self._month.get(month, 0) + 1
        if most and self._month[month] > most:
            text = "You have exceeded your allotted message quota. Please enable pay-as-you-go to regain access"
            raise PlainError(402, text)

    def _body(self, request: Request) -> str:
        stock = _STOCK.fullmatch(request.path)
        if stock is not None:
            return self._stock(stock[1].upper(), stock[2], request)
        match request.path:
            case "/tops":
                return _list_of(self._top(share, request.now_s) for share in _symbols(request.query))
            case "/deep/trades":
                return self._trades(request)
            case "/deep/book":
                books = (f'"{share}":{self._book(share, request.now_s)}' for share in _symbols(request.query))
                return f"{{{','.join(books)}}}"
            case "/ref-data/symbols":
                symbols = (*SHARES, *OTHER_SYMBOLS)
                return json.dumps([{"symbol": one, "type": "cs", "isEnabled": True} for one in symbols])
            case _:
                raise PlainError(404, "Not Found")

    def _stock(self, share: str, rest: str, request: Request) -> str:
        if share not in SHARES:
            raise PlainError(404, "Unknown symbol")
        kind, _, more = rest.partition("/")
        readers: dict[str, Callable[[str, str, Request], str]] = {
            "chart": self._chart,
            "intraday-prices": self._intraday,
            "quote": self._quote,
            "news": self._news,
        }
        if kind not in readers:
            raise PlainError(404, "Not Found")
        return readers[kind](share, more, request)

    def _chart(self, share: str, more: str, request: Request) -> str:
        """Return days of a range, the minutes of a date, or with `chartByDay` that date's day."""
        if more.startswith("date/"):
            day = _date(more.removeprefix("date/"))
            if request.query.get("chartByDay", "false").lower() == "true":
                return _list_of(_printed_day(one) for one in self._market.days(share) if one.date == str(day))
            return _list_of(_printed_minute(one) for one in self._market.minutes(share, day, request.now_s))
        days = self._market.days(share)
        if more not in _RANGE_DAYS:
            raise PlainError(400, "Invalid values were supplied for the API request")
        first = date.fromisoformat(days[-1].date) - timedelta(days=_RANGE_DAYS[more])
        rows = [one for one in days if one.date > str(first)]
        return _list_of(_printed_day(one) for one in _last(rows, request.query))

    def _intraday(self, share: str, more: str, request: Request) -> str:
        """Return the minutes of the newest session that has any."""
        day = datetime.fromtimestamp(request.now_s, NEW_YORK).date()
        while not (rows := self._market.minutes(share, day, request.now_s)):
            day -= timedelta(days=1)
        return _list_of(_printed_minute(one) for one in _last(rows, request.query))

    def _quote(self, share: str, more: str, request: Request) -> str:
        """Return the quote of a market whose own prices need an authorisation: open, high, low and close are null."""
        top = self._market.top(share, request.now_s)
        return (
            f'{{"symbol":"{share}","calculationPrice":"tops","open":null,"openTime":null,"close":null,"high":null,'
            f'"low":null,"latestPrice":{price_text(share, top.last.price)},"latestSource":"IEX real time price",'
            f'"latestUpdate":{top.last.time_us // 1000},"latestVolume":null,"iexBidPrice":{top.bid},'
            f'"iexBidSize":{top.bid_size},"iexAskPrice":{top.ask},"iexAskSize":{top.ask_size},"delayedPrice":null,'
            f'"isUSMarketOpen":false}}'
        )

    def _book(self, share: str, now_s: float) -> str:
        """Return the aggregated book of the venue, best first; each level says when it last changed."""
        sides = (
            ",".join(f'{{"price":{one.price},"size":{one.size},"timestamp":{one.at_ms}}}' for one in side)
            for side in self._market.book(share, now_s)
        )
        bids, asks = sides
        return f'{{"bids":[{bids}],"asks":[{asks}]}}'

    def _top(self, share: str, now_s: float) -> str:
        top = self._market.top(share, now_s)
        return (
            f'{{"symbol":"{share}","sector":"electronictechnology","securityType":"cs","bidPrice":{top.bid},'
            f'"bidSize":{top.bid_size},"askPrice":{top.ask},"askSize":{top.ask_size},"lastUpdated":{top.updated_ms},'
            f'"lastSalePrice":{price_text(share, top.last.price)},"lastSaleSize":{top.last.size},'
            f'"lastSaleTime":{top.last.time_us // 1000},"volume":973609}}'
        )

    def _trades(self, request: Request) -> str:
        count = min(_whole(request.query.get("last", str(TRADES_DEFAULT))), TRADES_MOST)
        lists = []
        for share in _symbols(request.query):
            rows = (
                f'{{"price":{price_text(share, one.price)},"size":{one.size},"tradeId":{one.id},"isISO":false,'
                f'"isOddLot":{"true" if one.size < 100 else "false"},"timestamp":{one.time_us // 1000}}}'
                for one in self._market.trades(share, count, request.now_s)
            )
            lists.append(f'"{share}":{_list_of(rows)}')
        return f"{{{','.join(lists)}}}"

    def _news(self, share: str, more: str, request: Request) -> str:
        """Return `last/n` articles, ten without a number, fifty at most."""
        count = min(_whole(more.removeprefix("last/") if more else "10"), NEWS_MOST)
        return json.dumps(self._market.articles(share, count, request.now_s), ensure_ascii=False)

    def page(self, body: bytes) -> Page | None:
        """Return None: rows are objects, never lists."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        days = {share: self._market.days(share) for share in SHARES}
        return {
            share: {"rows": len(rows), "first": rows[0].date, "last": rows[-1].date} for share, rows in days.items()
        }

    def examples(self) -> Sequence[Example]:
        return EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return expected_rows(self._market, example, now_s=now_s)

    def error_cases(self) -> Sequence[ErrorCase]:
        return ERROR_CASES


def _plain(refused: PlainError) -> Answer:
    return Answer(refused.status, str(refused).encode(), content_type="text/html; charset=utf-8")


def _list_of(rows: Iterable[str]) -> str:
    return f"[{','.join(rows)}]"


def _symbols(query: Mapping[str, str]) -> list[str]:
    """Return the known ones of a comma list; what is unknown is left out without a word."""
    names = [name.upper() for name in query.get("symbols", "").split(",") if name]
    if not names or len(names) > SYMBOLS_MOST:
        raise PlainError(400, "Invalid values were supplied for the API request")
    return [name for name in names if name in SHARES]


def _date(text: str) -> date:
    if not re.fullmatch(r"[0-9]{8}", text):
        raise PlainError(400, "Invalid values were supplied for the API request")
    try:
        return date.fromisoformat(text)
    except ValueError as cause:
        raise PlainError(400, "Invalid values were supplied for the API request") from cause


def _whole(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise PlainError(400, "Invalid values were supplied for the API request")
    return int(text)


def _last(rows: Sequence[Row], query: Mapping[str, str]) -> Sequence[Row]:
    return rows[-_whole(query["chartLast"]) :] if "chartLast" in query else rows


def _printed_day(one: Day) -> str:
    return (
        f'{{"date":"{one.date}","open":{one.open},"high":{one.high},"low":{one.low},"close":{one.close},'
        f'"volume":{one.volume},"uOpen":{one.open},"uClose":{one.close},"fOpen":{one.open},"fClose":{one.adjusted},'
        f'"change":0,"changePercent":0}}'
    )


def _printed_minute(one: Minute) -> str:
    moment = datetime.fromtimestamp(one.at_s, NEW_YORK)
    opening, high, low, close = one.prices or ("null",) * 4
    return (
        f'{{"date":"{moment:%Y-%m-%d}","minute":"{moment:%H:%M}","label":"{moment:%I:%M %p}","high":{high},"low":{low},'
        f'"open":{opening},"close":{close},"average":{close},"volume":{one.volume},"notional":0,'
        f'"numberOfTrades":{one.trades}}}'
    )
