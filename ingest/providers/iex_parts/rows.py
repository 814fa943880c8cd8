"""What the rows of each of IEX Cloud's endpoints mean: bars, trades, quotes, books, news.

Deliberately not here: which of them are asked for, and errors (../iex.py). Invariant: a value is the text that was
sent, and a 0 that means "none" is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ingest.errors import BadData
from ingest.market.records import Parsed, Reject
from ingest.market.symbols import is_instrument, is_pair
from ingest.market.times import epoch_ms_up, first_date
from ingest.providers import answers
from ingest.providers.contract import Query
from ingest.wire import Answer

_NAME = "iex"
EXCHANGE = ZoneInfo("America/New_York")
_PRICES = ("open", "high", "low", "close")
_DAY_SHAPE = "expected an object with date, open, high, low, close and volume"
_MINUTE_SHAPE = "expected an object with date, minute, open, high, low, close, volume and numberOfTrades"
_TRADE_SHAPE = "expected an object with price, size, tradeId and timestamp in whole milliseconds"
_QUOTE_SHAPE = "expected an object with a symbol that was asked for, prices, and a time in whole milliseconds"
_NEWS_SHAPE = "expected an object with headline, url and datetime in whole milliseconds"
#: "0" and "0.0" stand where there is no bid, ask or sale.
_ZERO = re.compile(r"0+(\.0*)?")
#: Source: https://iexcloud.io/docs/api, DEEP Book, archived.
_BOOK_SHAPE = "expected bids and asks as lists of objects with price, size and a timestamp in whole milliseconds"


def bars(
    query: Query, answer: Answer, page: list[Any], instrument: str, read: Callable[[Any], dict[str, Any] | None]
) -> Parsed:
    is_daily = query.interval == "1d"
    start, end = answer.request.start, answer.request.end
    kept: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for raw in page:
        row = read(raw)
        if row is None:
            shape = _DAY_SHAPE if is_daily else _MINUTE_SHAPE
            rejects.append(answers.reject(raw, rule="wrong_shape", reason=shape, instrument=instrument))
        elif row.get("trade_count") != "0" or any(row[name] is not None for name in _PRICES):
            # A minute without a trade is listed with nulls: IEX says of it that there is no bar.
            kept.append(row)
    if start is not None and end is not None:
        low, high = _bound(start, is_daily), _bound(end, is_daily)
        kept = [row for row in kept if low <= row["ts"] < high]
    names = ("ts", *_PRICES, "volume", "adjusted_close" if is_daily else "trade_count")
    columns = {name: [row[name] for row in kept] for name in names}
    return Parsed({"instrument": [instrument] * len(kept), **columns}, "date" if is_daily else "s", tuple(rejects))


def day(raw: Any) -> dict[str, Any] | None:
    if type(raw) is not dict or not _is_date(raw.get("date")):
        return None
    cells = {name: raw.get(name) for name in (*_PRICES, "volume")} | {"adjusted_close": raw.get("fClose")}
    is_sound = raw.keys() >= {*_PRICES, "volume"} and set(map(type, cells.values())) <= answers.TEXT_OR_NULL
    return {"ts": raw["date"], **cells} if is_sound else None


def minute(raw: Any) -> dict[str, Any] | None:
    """Return a minute, its time converted from New York's."""
    if type(raw) is not dict or not _is_date(raw.get("date")) or type(raw.get("minute")) is not str:
        return None
    if not raw.keys() >= {*_PRICES, "volume", "numberOfTrades"} or not re.fullmatch(r"\d\d:\d\d", raw["minute"], re.A):
        return None
    cells = {name: raw[name] for name in (*_PRICES, "volume")} | {"trade_count": raw["numberOfTrades"]}
    try:
        moment = datetime.fromisoformat(f"{raw['date']} {raw['minute']}:00").replace(tzinfo=EXCHANGE)
    except ValueError:
        return None
    is_sound = set(map(type, cells.values())) <= answers.TEXT_OR_NULL
    return {"ts": int(moment.timestamp()), **cells} if is_sound else None


def trades(page: Any, asked: dict[str, str], answer: Answer) -> Parsed:
    """Return the trades of all symbols, as they stand; who was the taker is not told."""
    if type(page) is not dict or any(type(rows) is not list for rows in page.values()):
        raise bad_page("an object of lists of trades by symbol", answer)
    rows: list[tuple[Any, ...]] = []
    rejects: list[Reject] = []
    for symbol, trades in page.items():
        instrument = asked.get(symbol)
        if instrument is None:
            reason = "a symbol that was not asked for"
            rejects += [answers.reject(one, rule="unknown_symbol", reason=reason) for one in trades]
            continue
        sound, bad = answers.sound_rows(trades, _trade, _TRADE_SHAPE, instrument)
        rows += [(instrument, *row) for row in sound]
        rejects += bad
    names = ("instrument", "ts", "trade_id", "price", "size")
    return Parsed({name: [row[i] for row in rows] for i, name in enumerate(names)}, "ms", tuple(rejects))


def _trade(raw: Any) -> tuple[Any, ...] | None:
    if type(raw) is not dict or not answers.is_whole(raw.get("timestamp")) or not answers.is_whole(raw.get("tradeId")):
        return None
    price, size = raw.get("price"), raw.get("size")
    sound = {type(price), type(size)} <= answers.TEXT_OR_NULL
    return (int(raw["timestamp"]), raw["tradeId"], price, size) if sound else None


def quotes(page: Any, asked: dict[str, str], answer: Answer) -> Parsed:
    """Return quotes: of `/tops`, or of an archived `/stock/../quote` and `/stock/market/batch`."""
    if type(page) is dict and "symbol" not in page:
        page = [one.get("quote") if type(one) is dict else None for one in page.values()]
    rows: list[tuple[Any, ...]] = []
    rejects: list[Reject] = []
    for raw in [page] if type(page) is dict else listed_rows(page, answer):
        symbol = raw.get("symbol") if type(raw) is dict else None
        instrument = asked.get(symbol) if type(symbol) is str else None
        row = None if instrument is None else _top(raw) or _quote(raw)
        if row is None:
            rejects.append(answers.reject(raw, rule="wrong_shape", reason=_QUOTE_SHAPE, instrument=instrument))
        else:
            rows.append((instrument, *row))
    names = ("instrument", "ts", "bid", "bid_size", "ask", "ask_size", "last")
    return Parsed({name: [row[i] for row in rows] for i, name in enumerate(names)}, "ms", tuple(rejects))


def _top(raw: dict[str, Any]) -> tuple[Any, ...] | None:
    return _prices(raw, "lastUpdated", ("bidPrice", "bidSize", "askPrice", "askSize", "lastSalePrice"))


def _quote(raw: dict[str, Any]) -> tuple[Any, ...] | None:
    """Return the quote of the market: without authorisation for its prices most fields are null."""
    return _prices(raw, "latestUpdate", ("iexBidPrice", "iexBidSize", "iexAskPrice", "iexAskSize", "latestPrice"))


def _prices(raw: dict[str, Any], time: str, names: tuple[str, ...]) -> tuple[Any, ...] | None:
    cells = [raw.get(name) for name in names]
    if not answers.is_whole(raw.get(time)) or not set(map(type, cells)) <= answers.TEXT_OR_NULL:
        return None
    return (int(raw[time]), *(None if one is None or _ZERO.fullmatch(one) else one for one in cells))


def book(page: Any, symbol: str, instrument: str, answer: Answer) -> Parsed:
    """Return the book of a symbol, dated by its newest level; one without levels by the receive time.

    A symbol that is left out of the answer has no row. Raises BadData.
    """
    if type(page) is not dict:
        raise bad_page("an object of books by symbol", answer)
    found = [raw for name, raw in page.items() if name == symbol]
    rows, rejects = answers.sound_rows(found, _book, _BOOK_SHAPE, instrument)
    names = ("ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    return Parsed({"instrument": [instrument] * len(rows), **columns}, "ms", rejects)


def _book(raw: Any) -> tuple[Any, ...] | None:
    bids, asks = (raw.get("bids"), raw.get("asks")) if type(raw) is dict else (None, None)
    if type(bids) is not list or type(asks) is not list or not set(map(type, (*bids, *asks))) <= {dict}:
        return None
    if not all(answers.is_whole(level.get("timestamp")) for level in (*bids, *asks)):
        return None
    sides = [answers.book_side([[level.get("price"), level.get("size")] for level in side]) for side in (bids, asks)]
    newest = max((int(level["timestamp"]) for level in (*bids, *asks)), default=None)
    return None if None in sides else (newest, *(text for side in sides for text in side or ()))


def news(page: list[Any], instrument: str) -> Parsed:
    rows, rejects = answers.sound_rows(page, _article, _NEWS_SHAPE, instrument)
    names = ("ts", "article_id", "title", "url", "source", "summary", "language", "instruments")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    return Parsed({"instrument": [instrument] * len(rows), **columns}, "ms", rejects)


def _article(raw: Any) -> tuple[Any, ...] | None:
    if type(raw) is not dict or not answers.is_whole(raw.get("datetime")):
        return None
    texts = [raw.get(name) for name in ("uuid", "headline", "url", "source", "summary", "lang", "related")]
    if not set(map(type, texts)) <= answers.TEXT_OR_NULL or None in texts[1:3]:
        return None
    uuid, title, url, source, summary, language, related = texts
    names = dict.fromkeys(one.strip() for one in (related or "").split(","))
    about = ",".join(name for name in names if instrument_of(name) is not None)
    return int(raw["datetime"]), uuid or url, title, url, source, summary, language, about


def _bound(moment: datetime, is_daily: bool) -> Any:
    """Return the first time that is not before `moment`, as the rows write it."""
    return first_date(moment).isoformat() if is_daily else -(-epoch_ms_up(moment) // 1000)


def _is_date(text: Any) -> bool:
    try:
        return type(text) is str and len(text) == len("2022-09-06") and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def listed_rows(page: Any, answer: Answer) -> list[Any]:
    if type(page) is not list:
        raise bad_page("a list", answer)
    return page


def bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{_NAME} sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=_NAME, status=answer.status)


def instrument_of(native: str) -> str | None:
    """Return the share of a symbol, None for a warrant or preferred share (`AIG+`, `BAC-A`)."""
    return native if is_instrument(native) and not is_pair(native) else None
