"""IEX Cloud: bars, trades, quotes and news of US shares, as its v1 REST API answered until it was retired.

Nothing serves it any more: requests go only to an archive that speaks v1, whose base URL is set by hand. Instruments
are shares (`AAPL`, `BRK.B`); warrants and preferred shares (`AIG+`) have no name in our grammar.

Deliberately not here: Apperate (api.iex.cloud), streams, books, economic series (whose rows no source confirms), and
IEX HIST, the packet captures that remain. Invariant: a row is what IEX said of it: prices of its venue where minutes,
trades and quotes are concerned, and a 0 that means "none" is none.

Sources, read autumn 2026: archived https://iexcloud.io/docs/api and its FAQ; timkpaine/pyEX; public code search for the
sentences of errors. Field lists are partly unconfirmed, so a row that lacks one is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.records import Parsed, Reject
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import epoch_ms_up, first_date
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.wire import Answer, KeySpec, Limit, Request

#: "up to 100 symbols" in one request.
SYMBOLS = 100
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5
#: The most that `last` takes, of trades and of articles.
NEWEST_TRADES, NEWEST_NEWS = 500, 50
#: Days asked for one by one; a longer window takes the whole history in one answer.
MOST_DAYS = 5

_DOCS = "https://iexcloud.io/docs/api, autumn 2026"

facts = Facts(
    name="iex",
    title="IEX Cloud",
    base_url="https://cloud.iexapis.com/v1",
    docs_url="https://iexcloud.io/docs/api",
    terms_url="https://iexcloud.io/terms",
    datasets=("bars", "trades", "quotes", "news"),
    intervals={"1m": "1m", "1d": "1d"},
    page_rows=NEWEST_TRADES,
    # Our choice: half a day past UTC midnight is past every US session's end and the same evening's files.
    settle_s=12 * 3600.0,
    # "100 requests per second" by address. What a message costs is the archive's business now.
    limits=(Limit(100, 1, _DOCS),),
    # An archive may want none.
    key=KeySpec("IEX_TOKEN", "query", "token", required=False, where_to_get="https://iexcloud.io (none are given out)"),
    batch={"bars": 1, "trades": SYMBOLS, "quotes": SYMBOLS, "news": 1},
    # Minutes reached 30 days back; how far an archive reaches is not known, so nothing is said in `reach_days`.
    trading="XNYS",
    adjustment="splits",
    lifecycle="retired",
    lifecycle_note="2024-08-31: use polygon, fmp or finnhub for the same data",
)

_EXCHANGE = ZoneInfo("America/New_York")
_PRICES = ("open", "high", "low", "close")
_DAY_SHAPE = "expected an object with date, open, high, low, close and volume"
_MINUTE_SHAPE = "expected an object with date, minute, open, high, low, close, volume and numberOfTrades"
_TRADE_SHAPE = "expected an object with price, size, tradeId and timestamp in whole milliseconds"
_QUOTE_SHAPE = "expected an object with a symbol that was asked for, prices, and a time in whole milliseconds"
_NEWS_SHAPE = "expected an object with headline, url and datetime in whole milliseconds"
#: "0" and "0.0" stand where there is no bid, ask or sale.
_ZERO = re.compile(r"0+(\.0*)?")
_ERROR_BYTES = 400
_QUOTA = re.compile(r"message quota", re.I)
_KEY = re.compile(r"\b(api key|token|secret key)\b", re.I)
_UNKNOWN = re.compile(r"\s*unknown symbol\s*", re.I)


def build(query: Query) -> list[Request]:
    """Return what asks for the query; of minutes one request a day. Raises FixRequest for windows of what has none."""
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    names = tuple(dict.fromkeys(query.instruments))
    natives = {instrument: native_symbol(instrument) for instrument in names}
    if query.dataset == "bars":
        if query.interval not in facts.intervals:
            raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
        if query.start is not None and query.end is None:
            raise FixRequest(f"{facts.name}: bars from a time on need an end", provider=facts.name)
        chart = _days if query.interval == "1d" else _minutes
        return [request for one in names for request in chart(query, one, f"/stock/{natives[one]}")]
    if query.start is not None:
        said = f"{facts.name} has only the newest {query.dataset}; leave out the window"
        raise FixRequest(said, provider=facts.name)
    if query.dataset == "news":
        return [Request(f"/stock/{natives[one]}/news/last/{NEWEST_NEWS}", (), (), (one,)) for one in names]
    path, more = ("/tops", ()) if query.dataset == "quotes" else ("/deep/trades", (("last", str(NEWEST_TRADES)),))
    return [
        Request(path, (("symbols", ",".join(natives[one] for one in some)), *more), (), some)
        for some in (names[i : i + SYMBOLS] for i in range(0, len(names), SYMBOLS))
    ]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return None: every request is answered whole."""
    return None


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status, then its sentence, which is plain text. None of its words is repeated."""
    text = answer.body[:_ERROR_BYTES].decode("utf-8", "replace")
    return (
        answers.limit_or_outage(facts.name, answer)
        or (_unknown(answer) if _UNKNOWN.fullmatch(text) else None)
        or (_unpaid(answer, text) if answer.status == 402 else None)
        or _not_allowed(answer, text)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the rows of the request's part of the window. Raises BadData when the page can't be read at all."""
    page = answers.load(facts.name, answer, numbers_as_text=True)
    asked = {native_symbol(one): one for one in answer.request.instruments or query.instruments}
    match query.dataset:
        case "bars":
            read = _day if query.interval == "1d" else _minute
            return _bars(query, answer, _listed(page, answer), next(iter(asked.values())), read)
        case "news":
            return _news(_listed(page, answer), next(iter(asked.values())))
        case "trades":
            return _trades(page, asked, answer)
        case _:
            return _quotes(page, asked, answer)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all symbols."""
    return Request("/ref-data/symbols")


def listed(answer: Answer) -> list[str]:
    """Return the shares among the symbols. Raises BadData."""
    page = _listed(answers.load(facts.name, answer), answer)
    symbols = [one.get("symbol") if type(one) is dict else None for one in page]
    return [name for one in symbols if type(one) is str and (name := instrument_of(one)) is not None]


def native_symbol(instrument: str) -> str:
    """Return the symbol, which is the instrument's own name. Raises FixRequest for a pair."""
    if is_pair(validate(instrument)):
        said = f"{facts.name} has shares only, like AAPL or BRK.B; found {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return instrument


def instrument_of(native: str) -> str | None:
    """Return the share of a symbol, None for a warrant or preferred share (`AIG+`, `BAC-A`)."""
    return native if is_instrument(native) and not is_pair(native) else None


def _days(query: Query, instrument: str, stock: str) -> list[Request]:
    """Return what asks for days: the newest five, a few by their dates, or all there are."""
    if query.start is None or query.end is None:
        return [Request(f"{stock}/chart/5d", (), (), (instrument,))]
    first, count = first_date(query.start), (first_date(query.end) - first_date(query.start)).days
    if count > MOST_DAYS:
        return [Request(f"{stock}/chart/max", (), (), (instrument,), 1, query.start, query.end)]
    days = [first + timedelta(days=i) for i in range(max(count, 1))]
    by_day = (("chartByDay", "true"),)
    return [
        Request(f"{stock}/chart/date/{day:%Y%m%d}", by_day, (), (instrument,), 1, query.start, query.end)
        for day in _weekdays(days)
    ]


def _minutes(query: Query, instrument: str, stock: str) -> list[Request]:
    """Return what asks for minutes: the newest, or those of each day of New York's."""
    if query.start is None or query.end is None:
        newest = (("chartLast", str(NEWEST_ROWS)),)
        return [Request(f"{stock}/intraday-prices", newest, (), (instrument,))]
    first = query.start.astimezone(_EXCHANGE).date()
    last = (query.end - timedelta(microseconds=1)).astimezone(_EXCHANGE).date()
    days = [first + timedelta(days=i) for i in range(max((last - first).days, 0) + 1)]
    return [
        Request(f"{stock}/chart/date/{day:%Y%m%d}", (), (), (instrument,), 1, query.start, query.end)
        for day in _weekdays(days)
    ]


def _weekdays(days: list[date]) -> list[date]:
    """Leave out Saturdays and Sundays, but not the last day of all."""
    return [day for day in days if day.weekday() < 5] or days[:1]


def _bars(
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


def _day(raw: Any) -> dict[str, Any] | None:
    if type(raw) is not dict or not _is_date(raw.get("date")):
        return None
    cells = {name: raw.get(name) for name in (*_PRICES, "volume")} | {"adjusted_close": raw.get("fClose")}
    is_sound = raw.keys() >= {*_PRICES, "volume"} and set(map(type, cells.values())) <= answers.TEXT_OR_NULL
    return {"ts": raw["date"], **cells} if is_sound else None


def _minute(raw: Any) -> dict[str, Any] | None:
    """Return a minute, its time converted from New York's."""
    if type(raw) is not dict or not _is_date(raw.get("date")) or type(raw.get("minute")) is not str:
        return None
    if not raw.keys() >= {*_PRICES, "volume", "numberOfTrades"} or not re.fullmatch(r"\d\d:\d\d", raw["minute"], re.A):
        return None
    cells = {name: raw[name] for name in (*_PRICES, "volume")} | {"trade_count": raw["numberOfTrades"]}
    try:
        moment = datetime.fromisoformat(f"{raw['date']} {raw['minute']}:00").replace(tzinfo=_EXCHANGE)
    except ValueError:
        return None
    is_sound = set(map(type, cells.values())) <= answers.TEXT_OR_NULL
    return {"ts": int(moment.timestamp()), **cells} if is_sound else None


def _trades(page: Any, asked: dict[str, str], answer: Answer) -> Parsed:
    """Return the trades of all symbols, as they stand; who was the taker is not told."""
    if type(page) is not dict or any(type(rows) is not list for rows in page.values()):
        raise _bad_page("an object of lists of trades by symbol", answer)
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


def _quotes(page: Any, asked: dict[str, str], answer: Answer) -> Parsed:
    """Return quotes: of `/tops`, or of an archived `/stock/../quote` and `/stock/market/batch`."""
    if type(page) is dict and "symbol" not in page:
        page = [one.get("quote") if type(one) is dict else None for one in page.values()]
    rows: list[tuple[Any, ...]] = []
    rejects: list[Reject] = []
    for raw in [page] if type(page) is dict else _listed(page, answer):
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


def _news(page: list[Any], instrument: str) -> Parsed:
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


def _unpaid(answer: Answer, text: str) -> TickfarmError:
    """Return what a 402 means: the month's messages are spent, or the plan never has it."""
    if _QUOTA.search(text):
        # "subscriptions renew at the start of every calendar month". Source: archived FAQ.
        said, wait = f"{facts.name}: the month's messages are spent", _until_next_month_s(answer.received_at)
        return SlowDown(said, provider=facts.name, status=answer.status, retry_after_s=wait)
    said = f"{facts.name} error: the plan of the key in IEX_TOKEN does not have this"
    return FixRequest(said, provider=facts.name, status=answer.status, instrument=answers.only_instrument(answer))


def _not_allowed(answer: Answer, text: str) -> TickfarmError | None:
    status = answer.status
    if status in (400, 401, 403) and _KEY.search(text):
        said = f"{facts.name}: the token was refused; set IEX_TOKEN to one that this archive accepts"
        return KeyRefused(said, provider=facts.name, status=status)
    if status == 451:
        # "Unable to complete your request at this time".
        return TryAgain(f"{facts.name} failed on its side (HTTP 451)", provider=facts.name, status=status)
    if status in (403, 410):
        said = f"{facts.name} is retired, and what answers at this base URL refuses (HTTP {status})"
        return FixRequest(said, provider=facts.name, status=status)
    return None


def _is_date(text: Any) -> bool:
    try:
        return type(text) is str and len(text) == len("2022-09-06") and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _until_next_month_s(now: datetime) -> float:
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return ((first + timedelta(days=32)).replace(day=1) - now).total_seconds()


def _unknown(answer: Answer) -> TickfarmError:
    instrument = answers.only_instrument(answer)
    if instrument is None:
        said = f"{facts.name}: a symbol does not exist; ask for each by itself to see which"
        return FixRequest(said, provider=facts.name, status=answer.status)
    error = UnknownName("instrument", instrument, ("those in /ref-data/symbols",), provider=facts.name)
    error.instrument, error.status = instrument, answer.status
    return error


def _listed(page: Any, answer: Answer) -> list[Any]:
    if type(page) is not list:
        raise _bad_page("a list", answer)
    return page


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{facts.name} sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)
