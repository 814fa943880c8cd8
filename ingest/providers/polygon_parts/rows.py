"""What the rows of polygon's prices mean: bars, trades, quotes, a book.

Times: milliseconds in bars, nanoseconds in trades and quotes; where the unit is not the same everywhere (last quotes,
books) the digits tell it. Deliberately not here: which rows are asked for (../polygon.py), news, observations
and actions (facts_rows.py). Invariant: a value is the text that was sent; a book's size at a price is the sum over its
exchanges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from ingest.market.records import BOOK_LEVELS, Parsed
from ingest.providers import answers
from ingest.providers.polygon_parts.columns import Row, is_among, table
from ingest.providers.polygon_parts.tickers import Market

#: Daily bars of shares and indices carry midnight there, or in a whole market's answer the close; others a UTC moment.
_NEW_YORK = ZoneInfo("America/New_York")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BAR_SHAPE = "expected an object with whole milliseconds t, and numbers or nulls o, h, l, c, v, n"
_TRADE_SHAPE = "expected an object with price, size, a time of 10 to 19 digits and a whole sequence_number or id"
_QUOTE_SHAPE = "expected an object with numbers for bid and ask, and a time of 10 to 19 digits"
_BOOK_SHAPE = "expected bids and asks as lists of {p, x}, x the sizes by exchange, and updated"
_STAMP = re.compile(r"[1-9]\d{9,18}", re.ASCII)
#: Nanoseconds in the unit of a time with that many digits.
_NS_PER = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}
#: Of a coin's trade: who came later. Source: https://massive.com/docs/rest/crypto/trades-quotes/trades, autumn 2026.
_TAKERS = {"1": "sell", "2": "buy"}
_BAR_VALUES = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "trade_count": "n"}
#: Where the volume is among them, behind the time.
_BAR_VOLUME = 1 + list(_BAR_VALUES).index("volume")


def bars(rows: Sequence[Any], instruments: Mapping[str, str], market: Market, *, daily: bool, whole: bool) -> Parsed:
    """Return the bars; `instruments` are those asked for by their tickers, `whole` is a whole market's answer.

    Money has no volume: what is sent as it "is the number of quotes". Of a whole market, what was asked for is read.
    """
    only = next(iter(instruments.values()))
    zone = _NEW_YORK if market in ("stocks", "indices") else UTC

    def read(found: list[Any]) -> list[list[Any]] | None:
        columns = answers.by_member(found, ("t", *_BAR_VALUES.values()))
        if columns is None or not answers.are_whole(columns[0]) or not answers.are_text_or_null(columns):
            return None
        times = _sessions(columns[0], zone) if daily else list(map(int, columns[0]))
        if times is None:
            return None
        if market == "fx":
            columns[_BAR_VOLUME] = [None] * len(found)
        return [[instruments[row["T"]] for row in found] if whole else [only] * len(found), times, *columns[1:]]

    wanted = [row for row in rows if not whole or type(row) is not dict or is_among(row.get("T"), instruments)]
    names = ("instrument", "ts", *_BAR_VALUES)
    columns, rejects = answers.sound_columns(wanted, read, len(names), _BAR_SHAPE, None if whole else only)
    return Parsed(dict(zip(names, columns, strict=True)), "date" if daily else "ms", rejects)


def trades(rows: Sequence[Any], instrument: str, market: Market) -> Parsed:
    """Return the trades: a share's by `sequence_number`, "unique per ticker", a coin's by the id of its exchange."""
    stamp, number = ("participant_timestamp", "id") if market == "crypto" else ("sip_timestamp", "sequence_number")

    def read(row: Any) -> Row | None:
        ts = _nanoseconds(row.get(stamp)) if type(row) is dict else None
        if ts is None or not answers.is_whole(row.get(number)):
            return None
        size = row.get("size") if row.get("decimal_size") is None else row["decimal_size"]
        if not {type(row.get("price")), type(size)} <= answers.TEXT_OR_NULL:
            return None
        conditions = row.get("conditions") if market == "crypto" else None
        sides = {_TAKERS.get(one) for one in conditions if type(one) is str} if type(conditions) is list else set()
        sides.discard(None)
        return instrument, ts, row[number], row.get("price"), size, sides.pop() if len(sides) == 1 else None

    return table(("ts", "trade_id", "price", "size", "side"), rows, read, _TRADE_SHAPE, instrument, "ns")


def last_quote(result: Any, instrument: str) -> Parsed:
    """Return the one row of a share's last quote, where P, S are the ask and p, s the bid."""
    fields = {"t": "t", "bid": "p", "bid_size": "s", "ask": "P", "ask_size": "S"}
    return _quotes([result], instrument, fields)


def quotes(rows: Sequence[Any], instrument: str) -> Parsed:
    """Return the rows of a pair's quotes, which have no sizes."""
    fields = {"t": "participant_timestamp", "bid": "bid_price", "bid_size": "bid_size"}
    return _quotes(rows, instrument, fields | {"ask": "ask_price", "ask_size": "ask_size"})


def _quotes(rows: Sequence[Any], instrument: str, fields: Mapping[str, str]) -> Parsed:
    """A side whose price is 0 has no quote."""

    def read(row: Any) -> Row | None:
        ts = _nanoseconds(row.get(fields["t"])) if type(row) is dict else None
        sides = [[row.get(fields[name]), row.get(fields[f"{name}_size"])] for name in ("bid", "ask")] if ts else []
        if ts is None or not {type(cell) for side in sides for cell in side} <= answers.TEXT_OR_NULL:
            return None
        bid, ask = ([None, None] if _is_zero(side[0]) else side for side in sides)
        return instrument, ts, *bid, *ask

    return table(("ts", "bid", "bid_size", "ask", "ask_size"), rows, read, _QUOTE_SHAPE, instrument, "ns")


def book(data: Any, instrument: str) -> Parsed:
    """Return the one row of a book put together from all exchanges; its sides may overlap."""

    def read(row: Any) -> Row | None:
        ts = _nanoseconds(row.get("updated")) if type(row) is dict else None
        sides = [_side(row.get(name)) for name in ("bids", "asks")] if type(row) is dict else [None]
        return (
            None if ts is None or None in sides else (instrument, ts, *(text for side in sides for text in side or ()))
        )

    names = ("ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
    return table(names, [data], read, _BOOK_SHAPE, instrument, "ns")


def _sessions(times: list[str], zone: ZoneInfo | Any) -> list[Any] | None:
    """Return each time's session, or None where one has none; a whole market's bars are all of one time."""
    found = {text: _session(int(text), zone) for text in set(times)}
    return None if None in found.values() else [found[text] for text in times]


def _session(ms: int, zone: ZoneInfo | Any) -> str | None:
    """Return the date of the session that a daily bar's time lies in."""
    try:
        return (_EPOCH + timedelta(milliseconds=ms)).astimezone(zone).date().isoformat()
    except (OverflowError, ValueError):
        return None


def _nanoseconds(text: Any) -> int | None:
    """Return the time, whose unit its digits tell, in nanoseconds; read without a float, which would lose some."""
    if type(text) is not str or not _STAMP.fullmatch(text) or len(text) not in _NS_PER:
        return None
    return int(text) * _NS_PER[len(text)]


def _side(levels: Any) -> tuple[str, str] | None:
    """Return prices and sizes of the best levels, joined by commas; None if one is no {p, x}."""
    best = levels[:BOOK_LEVELS] if type(levels) is list else [None]
    prices, sizes = [], []
    for level in best:
        price, by_exchange = (level.get("p"), level.get("x")) if type(level) is dict else (None, None)
        size = _sum(by_exchange)
        if type(price) is not str or "," in price or not price or size is None:
            return None
        prices.append(price)
        sizes.append(size)
    return ",".join(prices), ",".join(sizes)


def _sum(by_exchange: Any) -> str | None:
    sizes = list(by_exchange.values()) if type(by_exchange) is dict else []
    if not sizes or any(type(one) is not str or "," in one for one in sizes):
        return None
    if len(sizes) == 1:
        return str(sizes[0])
    try:
        total = sum(map(Decimal, sizes), Decimal(0))
    except InvalidOperation:
        return None
    return f"{total:f}" if total.is_finite() and abs(total.adjusted()) < 40 else None


def _is_zero(text: Any) -> bool:
    return type(text) is str and re.fullmatch(r"0+(\.0*)?", text) is not None
