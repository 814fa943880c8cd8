"""FMP's actions, news, own articles, indicators and treasury rates as rows.

Deliberately not here: what is asked (questions.py), and prices (prices.py). Invariant: numbers keep the digits they
were sent with, and a row is read whole or rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ingest.market.records import Parsed, Reject
from ingest.providers import answers
from ingest.providers.fmp_parts.pages import (
    DATE,
    Row,
    has_all,
    inside,
    list_of,
    matches,
    moment_of,
    of_dates,
    own,
    parsed,
)
from ingest.providers.fmp_parts.prices import NEW_YORK
from ingest.providers.fmp_parts.symbols import FEEDS, INDICATORS, TREASURIES, instrument_of, native_symbol
from ingest.wire import Answer

#: The zone of news: the documented article of 18:43:01 on 2025-02-03 has 202502032343, which is UTC, in its
#: address, and the documented one of its own of 09:33:00 the milliseconds 1738679603793 in its image's.
#: Source: https://site.financialmodelingprep.com/developer/docs/stable, search-forex-news and fmp-articles, 2026-06.
NEWS_ZONE = NEW_YORK

#: Where splits are; the other actions' rows are dividends.
SPLITS = "/splits"


_DIVIDEND_SHAPE = "expected an object with an ISO date, a number or null in adjDividend, and dates as text"
_SPLIT_SHAPE = "expected an object with an ISO date, and numbers or nulls in numerator and denominator"
_NEWS_SHAPE = "expected an object with a local time and text in title, url, site or publisher, and text"
_VALUE_SHAPE = "expected an object with an ISO date, and numbers or nulls in what was asked for"


def actions(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the splits or dividends by ex-date, newest first.

    Where a date has two (a special dividend beside the quarter's), the later in the answer has its frequency for an id:
    a lone one's must not change with `frequency`, which FMP works out itself.
    """
    is_split = answer.request.path == SPLITS
    read, shape = (_split, _SPLIT_SHAPE) if is_split else (_dividend, _DIVIDEND_SHAPE)
    rows, rejects = answers.sound_rows(list_of(page, answer), read, shape, instrument)
    rows, foreign = own(rows, native_symbol(instrument))
    first: dict[str, str] = {}
    found = []
    for day, *cells, frequency in of_dates(rows, answer):
        action_id = "" if first.setdefault(day, frequency) == frequency else frequency
        found.append((instrument, day, "split" if is_split else "dividend", action_id, *cells))
    values = ("amount", "split_from", "split_to", "declared_on", "recorded_on", "paid_on")
    return parsed("date", rejects + foreign, ("instrument", "ts", "kind", "action_id", *values), found)


def news(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the articles, newest first; the URL is what tells one."""
    read: Callable[[Any], Row | None] = _own_article if answer.request.path == FEEDS["ARTICLES"] else _article
    rows, rejects = answers.sound_rows(list_of(page, answer), read, _NEWS_SHAPE, instrument)
    rows = inside(rows, answer)
    names = ("instrument", "ts", "article_id", "url", "title", "source", "author", "summary", "instruments")
    return parsed("s", rejects, names, [(instrument, *row) for row in rows])


def observations(page: Any, instruments: Sequence[str], answer: Answer) -> Parsed:
    """Return the values of an indicator, or of each asked column of the treasury rates."""
    rejects: tuple[Reject, ...] = ()
    found: list[Row] = []
    for instrument in instruments:
        read = _reader(instrument)
        rows, bad = answers.sound_rows(list_of(page, answer), read, _VALUE_SHAPE, instrument)
        rejects += bad
        found += [(instrument, *row) for row in of_dates(rows, answer)]
    return parsed("date", rejects, ("instrument", "ts", "value"), found)


def _reader(instrument: str) -> Callable[[Any], Row | None]:
    column = TREASURIES.get(instrument, "value")

    def read(row: Any) -> Row | None:
        if type(row) is not dict or column not in row or not matches(DATE, row.get("date")):
            return None
        is_asked = instrument in TREASURIES or row.get("name") == INDICATORS.get(instrument)
        value = row[column]
        return (row["date"], value) if is_asked and type(value) in answers.TEXT_OR_NULL else None

    return read


def _dividend(row: Any) -> Row | None:
    """Return date, amount, no ratio, the three other dates (old rows have "" for one), frequency and symbol."""
    names = ("adjDividend", "declarationDate", "recordDate", "paymentDate", "frequency", "symbol")
    values = _dated(row, names) if has_all(row, names[:1]) else None
    if values is None:
        return None
    amount, *dates, frequency, symbol = values
    return row["date"], amount, None, None, *(one or None for one in dates), frequency or "", symbol


def _split(row: Any) -> Row | None:
    """Return the cells of `_dividend` with a ratio: `numerator` shares come for `denominator` old ones."""
    names = ("denominator", "numerator", "symbol")
    values = _dated(row, names) if has_all(row, names[:2]) else None
    return None if values is None else (row["date"], None, *values[:2], None, None, None, "", values[2])


def _dated(row: Any, names: Sequence[str]) -> list[Any] | None:
    """Return the cells of a row with a date, None if one is neither text nor a number nor null."""
    values = [row.get(name) for name in names]
    is_sound = matches(DATE, row.get("date")) and set(map(type, values)) <= answers.TEXT_OR_NULL
    return values if is_sound else None


def _article(row: Any) -> Row | None:
    names = ("url", "title", "publisher", "site", "text", "symbol")
    when, values = _texts(row, "publishedDate", names)
    if when is None or values is None:
        return None
    url, title, publisher, site, text, symbol = values
    return when, url, url, title, publisher or site, None, text, _names(symbol, ",")


def _own_article(row: Any) -> Row | None:
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
    return moment_of(row.get(time_name), NEWS_ZONE), values if set(map(type, values)) <= answers.TEXT_OR_NULL else None


def _names(text: str | None, mark: str) -> str:
    """Return what it is about, in our grammar, without the exchange before a colon; the rest is left out."""
    natives = (one.rpartition(":")[2].strip() for one in (text or "").split(mark))
    found = (instrument_of(native) for native in natives if native)
    return ",".join(dict.fromkeys(name for name in found if name is not None))
