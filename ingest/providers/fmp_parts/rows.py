"""FMP's answers as rows: daily and intraday bars, quotes, bid and ask, actions, news, articles, indicators, rates.

Deliberately not here: what is asked (fmp.py). Invariant: numbers keep the digits they were sent with, and a row is read
whole or rejected; only rows beyond the asked window are left out, because dates are all that can be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ingest.errors import BadData
from ingest.market.records import Parsed, Reject
from ingest.market.times import epoch_us, first_date
from ingest.providers import answers
from ingest.providers.fmp_parts.symbols import FEEDS, INDICATORS, PROVIDER, TREASURIES, instrument_of, native_symbol
from ingest.wire import Answer

#: Intraday times have no zone: "calNewYork.setTimeZone(..)", says the maintainer.
#: Source: https://github.com/FinancialModelingPrepAPI/Financial-Modeling-Prep-API/issues/43.
NEW_YORK = ZoneInfo("America/New_York")
#: So are those of news: the documented article of 18:43:01 on 2025-02-03 has 202502032343, which is UTC, in its
#: address, and the documented one of its own of 09:33:00 the milliseconds 1738679603793 in its image's.
#: Source: https://site.financialmodelingprep.com/developer/docs/stable, search-forex-news and fmp-articles, 2026-06.
NEWS_ZONE = NEW_YORK

#: Where splits are; the other actions' rows are dividends.
SPLITS = "/splits"

_BAR = ("open", "high", "low", "close", "volume")
_BAR_SHAPE = "expected an object with a date and numbers or nulls in open, high, low, close and volume"
_QUOTE_SHAPE = "expected an object with the asked symbol, a price, and seconds or milliseconds in timestamp"
_BOOK_SHAPE = "expected an object with the asked symbol, bidPrice, bidSize, askPrice, askSize and timestamp"
_DIVIDEND_SHAPE = "expected an object with an ISO date, a number or null in adjDividend, and dates as text"
_SPLIT_SHAPE = "expected an object with an ISO date, and numbers or nulls in numerator and denominator"
_NEWS_SHAPE = "expected an object with a local time and text in title, url, site or publisher, and text"
_VALUE_SHAPE = "expected an object with an ISO date, and numbers or nulls in what was asked for"
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_ZERO = re.compile(r"0*\.?0*", re.ASCII)
#: Seconds have ten digits for a long time to come, milliseconds thirteen.
_FIRST_MS = 10**11

_Row = tuple[Any, ...]


def bad_page(expected: str, answer: Answer) -> BadData:
    """Return the error for an answer that is no page: what was expected of it."""
    said = f"{PROVIDER} sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=PROVIDER, status=answer.status)


def list_of(page: Any, answer: Answer) -> list[Any]:
    """Return the rows of a page: a list, or the legacy addresses' `{"symbol":.., "historical":[..]}`."""
    rows = page.get("historical") if type(page) is dict else page
    if type(rows) is not list:
        raise bad_page("a list of objects", answer)
    return rows


def bars(page: Any, instrument: str, interval: str, answer: Answer) -> Parsed:
    """Return the bars, newest first: days by their date, others by New York's clock, which `date` is written in."""
    is_daily = interval == "1d"
    read = _day if is_daily else _minute
    rows, rejects = answers.sound_rows(list_of(page, answer), read, _BAR_SHAPE, instrument)
    if is_daily:
        rows, foreign = _own(rows, instrument)
        rejects += foreign
    rows = _of_dates(rows, answer) if is_daily else _inside(rows, answer)
    names = ("instrument", "ts", *_BAR)
    return _parsed("date" if is_daily else "s", rejects, names, [(instrument, *row) for row in rows])


def quotes(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the last price of `quote`, a list of one."""

    def read(row: Any) -> _Row | None:
        cells = _cells(row, instrument, ("price",))
        return None if cells is None else (instrument, *cells)

    rows, rejects = answers.sound_rows(list_of(page, answer), read, _QUOTE_SHAPE, instrument)
    return _parsed("ms", rejects, ("instrument", "ts", "last"), rows)


def books(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the best bid and ask of `aftermarket-quote` as a book of one level; a price of zero is no order."""

    def read(row: Any) -> _Row | None:
        cells = _cells(row, instrument, ("bidPrice", "bidSize", "askPrice", "askSize"))
        return None if cells is None else (instrument, cells[0], *_side(*cells[1:3]), *_side(*cells[3:]))

    rows, rejects = answers.sound_rows(list_of(page, answer), read, _BOOK_SHAPE, instrument)
    return _parsed("ms", rejects, ("instrument", "ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes"), rows)


def actions(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the splits or dividends by ex-date, newest first.

    Where a date has two (a special dividend beside the quarter's), the later in the answer has its frequency for an id:
    a lone one's must not change with `frequency`, which FMP works out itself.
    """
    is_split = answer.request.path == SPLITS
    read, shape = (_split, _SPLIT_SHAPE) if is_split else (_dividend, _DIVIDEND_SHAPE)
    rows, rejects = answers.sound_rows(list_of(page, answer), read, shape, instrument)
    rows, foreign = _own(rows, instrument)
    first: dict[str, str] = {}
    found = []
    for day, *cells, frequency in _of_dates(rows, answer):
        action_id = "" if first.setdefault(day, frequency) == frequency else frequency
        found.append((instrument, day, "split" if is_split else "dividend", action_id, *cells))
    values = ("amount", "split_from", "split_to", "declared_on", "recorded_on", "paid_on")
    return _parsed("date", rejects + foreign, ("instrument", "ts", "kind", "action_id", *values), found)


def news(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the articles, newest first; the URL is what tells one."""
    read: Callable[[Any], _Row | None] = _own_article if answer.request.path == FEEDS["ARTICLES"] else _article
    rows, rejects = answers.sound_rows(list_of(page, answer), read, _NEWS_SHAPE, instrument)
    rows = _inside(rows, answer)
    names = ("instrument", "ts", "article_id", "url", "title", "source", "author", "summary", "instruments")
    return _parsed("s", rejects, names, [(instrument, *row) for row in rows])


def observations(page: Any, instruments: Sequence[str], answer: Answer) -> Parsed:
    """Return the values of an indicator, or of each asked column of the treasury rates."""
    rejects: tuple[Reject, ...] = ()
    found: list[_Row] = []
    for instrument in instruments:
        read = _reader(instrument)
        rows, bad = answers.sound_rows(list_of(page, answer), read, _VALUE_SHAPE, instrument)
        rejects += bad
        found += [(instrument, *row) for row in _of_dates(rows, answer)]
    return _parsed("date", rejects, ("instrument", "ts", "value"), found)


def _reader(instrument: str) -> Callable[[Any], _Row | None]:
    column = TREASURIES.get(instrument, "value")

    def read(row: Any) -> _Row | None:
        if type(row) is not dict or column not in row or not _is(_DATE, row.get("date")):
            return None
        is_asked = instrument in TREASURIES or row.get("name") == INDICATORS.get(instrument)
        value = row[column]
        return (row["date"], value) if is_asked and type(value) in answers.TEXT_OR_NULL else None

    return read


def _parsed(unit: Any, rejects: Sequence[Reject], names: Sequence[str], rows: Sequence[_Row]) -> Parsed:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return Parsed({name: list(values) for name, values in zip(names, columns, strict=True)}, unit, tuple(rejects))


def _day(row: Any) -> _Row | None:
    """Return date, prices, volume and symbol of a day's bar. Legacy rows have no symbol."""
    values = [row.get(name) for name in (*_BAR, "symbol")] if type(row) is dict else [0]
    if not _has_all(row, _BAR) or not _is(_DATE, row.get("date")) or not set(map(type, values)) <= answers.TEXT_OR_NULL:
        return None
    return (row["date"], *values)


def _dividend(row: Any) -> _Row | None:
    """Return date, amount, no ratio, the three other dates (old rows have "" for one), frequency and symbol."""
    names = ("adjDividend", "declarationDate", "recordDate", "paymentDate", "frequency", "symbol")
    values = _dated(row, names) if _has_all(row, names[:1]) else None
    if values is None:
        return None
    amount, *dates, frequency, symbol = values
    return row["date"], amount, None, None, *(one or None for one in dates), frequency or "", symbol


def _split(row: Any) -> _Row | None:
    """Return the cells of `_dividend` with a ratio: `numerator` shares come for `denominator` old ones."""
    names = ("denominator", "numerator", "symbol")
    values = _dated(row, names) if _has_all(row, names[:2]) else None
    return None if values is None else (row["date"], None, *values[:2], None, None, None, "", values[2])


def _dated(row: Any, names: Sequence[str]) -> list[Any] | None:
    """Return the cells of a row with a date, None if one is neither text nor a number nor null."""
    values = [row.get(name) for name in names]
    is_sound = _is(_DATE, row.get("date")) and set(map(type, values)) <= answers.TEXT_OR_NULL
    return values if is_sound else None


def _own(rows: list[_Row], instrument: str) -> tuple[list[_Row], tuple[Reject, ...]]:
    """Return the rows without their last cell, the symbol, and a Reject for each of another one's."""
    native, reason = (None, native_symbol(instrument)), "expected the asked symbol"
    foreign = tuple(answers.reject(r, rule="unknown_symbol", reason=reason) for r in rows if r[-1] not in native)
    return [row[:-1] for row in rows if row[-1] in native], foreign


def _minute(row: Any) -> _Row | None:
    when = _moment(row.get("date"), NEW_YORK) if _has_all(row, _BAR) else None
    values = [row[name] for name in _BAR] if when is not None else [0]
    return (when, *values) if set(map(type, values)) <= answers.TEXT_OR_NULL else None


def _cells(row: Any, instrument: str, names: Sequence[str]) -> list[Any] | None:
    """Return the time in milliseconds, told by its magnitude, and the cells; None for another symbol's."""
    if not _has_all(row, names) or row.get("symbol") != native_symbol(instrument):
        return None
    when, values = row.get("timestamp"), [row[name] for name in names]
    if not answers.is_whole(when) or not set(map(type, values)) <= answers.TEXT_OR_NULL:
        return None
    return [int(when) if int(when) >= _FIRST_MS else int(when) * 1000, *values]


def _side(price: Any, size: Any) -> tuple[str, str]:
    is_none = price is None or size is None or _ZERO.fullmatch(price) or "," in price + size or not size
    return ("", "") if is_none else (price, size)


def _article(row: Any) -> _Row | None:
    names = ("url", "title", "publisher", "site", "text", "symbol")
    when, values = _texts(row, "publishedDate", names)
    if when is None or values is None:
        return None
    url, title, publisher, site, text, symbol = values
    return when, url, url, title, publisher or site, None, text, _names(symbol, ",")


def _own_article(row: Any) -> _Row | None:
    """Return one of its own: `tickers` are `NASDAQ:AAPL`, the text is HTML."""
    when, values = _texts(row, "date", ("link", "title", "site", "author", "content", "tickers"))
    if when is None or values is None:
        return None
    url, title, site, author, content, tickers = values
    return when, url, url, title, site, author, content, _names(tickers, ",")


def _texts(row: Any, time_name: str, names: Sequence[str]) -> tuple[int | None, list[Any] | None]:
    if type(row) is not dict:
        return None, None
    values = [row.get(name) for name in names]
    return _moment(row.get(time_name), NEWS_ZONE), values if set(map(type, values)) <= answers.TEXT_OR_NULL else None


def _names(text: str | None, mark: str) -> str:
    """Return what it is about, in our grammar, without the exchange before a colon; the rest is left out."""
    natives = (one.rpartition(":")[2].strip() for one in (text or "").split(mark))
    found = (instrument_of(native) for native in natives if native)
    return ",".join(dict.fromkeys(name for name in found if name is not None))


def _moment(text: Any, zone: ZoneInfo) -> int | None:
    """Return the seconds of a local time; of the hour that comes twice in autumn it is the first."""
    if not _is(_LOCAL, text):
        return None
    try:
        local = datetime.fromisoformat(text)
        return epoch_us(local.replace(tzinfo=zone).astimezone(UTC)) // 1_000_000
    except (ValueError, OverflowError):
        return None


def _is(pattern: re.Pattern[str], text: Any) -> bool:
    return type(text) is str and pattern.fullmatch(text) is not None


def _has_all(row: Any, names: Sequence[str]) -> bool:
    return type(row) is dict and all(name in row for name in names)


def _of_dates(rows: list[_Row], answer: Answer) -> list[_Row]:
    """Leave out the dates whose midnight is not in the window."""
    start, end = answer.request.start, answer.request.end
    if start is None or end is None:
        return rows
    first, after = first_date(start).isoformat(), first_date(end).isoformat()
    return [row for row in rows if first <= row[0] < after]


def _inside(rows: list[_Row], answer: Answer) -> list[_Row]:
    """Leave out what is not in the window; the first cells are seconds."""
    start, end = answer.request.start, answer.request.end
    if start is None or end is None:
        return rows
    return [row for row in rows if epoch_us(start) <= row[0] * 1_000_000 < epoch_us(end)]
