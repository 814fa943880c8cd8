"""Yahoo's charts: bars and the newest price, as columns.

A chart is columns of equal length whose elements may be null. Deliberately not here: dividends and splits (events.py).
Invariant: numbers keep the digits they were sent with (`272.1000061035156`: `priceHint` says how many are meant).
Source: https://github.com/ranaroussi/yfinance (scrapers/history.py, utils.py), read autumn 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ingest.errors import BadData
from ingest.market.intervals import seconds_of
from ingest.market.records import Parsed, Reject
from ingest.market.times import epoch_us, first_date
from ingest.providers import answers
from ingest.providers.yahoo_parts.symbols import instrument_of
from ingest.wire import Answer

_NAME = "yahoo"
#: Prices reach back before 1970, where seconds are negative.
_SECONDS = re.compile(r"-?\d{1,11}", re.ASCII)
_BAR_VALUES = ("open", "high", "low", "close", "volume")
_ADJUSTED = "adjusted_close"
_ROW_SHAPE = "expected whole seconds, and text or null for prices and volume"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[Any, ...]


def chart_of(answer: Answer) -> Mapping[str, Any] | None:
    """Return the chart, None where there is none (`result` null or empty: no data). Raises BadData."""
    page = answers.load(_NAME, answer, numbers_as_text=True)
    try:
        results = page["chart"]["result"]
        if not results:
            return None
        chart, meta = results[0], results[0]["meta"]
        named = instrument_of(meta["symbol"])
    except (KeyError, TypeError, AttributeError, IndexError) as cause:
        raise bad_page("expected chart.result with a meta that names the symbol", answer) from cause
    if type(chart) is not dict or type(meta) is not dict:
        raise bad_page("expected objects in chart.result", answer)
    asked = answer.request.instruments
    if named is not None and asked and named not in asked:
        raise bad_page("its symbol is not the one asked for", answer, rule="unknown_symbol")
    return chart


def bad_page(expected: str, answer: Answer, *, rule: str = "unparsable_page") -> BadData:
    """Return the error for a page that can't be read at all."""
    said = f"yahoo sent a page that can't be used: {expected}"
    return BadData(said, rule=rule, provider=_NAME, status=answer.status)


def parse_bars(chart: Mapping[str, Any] | None, instrument: str, interval: str, answer: Answer) -> Parsed:
    """Return the bars, ascending as sent, without rows of nulls, rows beyond the window and the live row's double.

    Days are dated in the exchange's zone, since their seconds are the session's open and move with summer time.
    """
    rows, rejects = _rows(chart, instrument, answer)
    live = meta_of(chart).get("regularMarketTime")
    if interval == "1d":
        dated, late = _dated(rows, zone_of(chart, answer) if rows else UTC, instrument)
        kept: list[Row] = _cut(_one_a_day(dated, live), days_of(answer))
        kept = [row for row in kept if row[0] != _tomorrow(answer)]
        return _bars(kept, instrument, "date", (*rejects, *late))
    width = seconds_of(interval)
    if rows and rows[-1][0] == live and _is_price(rows[-1], width):
        rows = rows[:-1]
    timed: list[Row] = [(int(row[0]), *row[1:]) for row in rows]
    return _bars(_cut(timed, _seconds_of(answer)), instrument, "s", rejects)


def parse_quote(chart: Mapping[str, Any] | None, instrument: str) -> Parsed:
    """Return the newest price and its time; there is no bid and no ask in a chart."""
    names = ("instrument", "ts", "last")
    meta = meta_of(chart)
    price, at = meta.get("regularMarketPrice"), meta.get("regularMarketTime")
    if price is None and at is None:
        return Parsed({name: [] for name in names}, "s")
    if type(price) is not str or type(at) is not str or not _SECONDS.fullmatch(at):
        shape = "expected regularMarketPrice and regularMarketTime"
        said = answers.reject([price, at], rule="wrong_shape", reason=shape, instrument=instrument)
        return Parsed({name: [] for name in names}, "s", (said,))
    return Parsed({"instrument": [instrument], "ts": [int(at)], "last": [price]}, "s")


def _rows(chart: Mapping[str, Any] | None, instrument: str, answer: Answer) -> tuple[list[Row], tuple[Reject, ...]]:
    """Return rows of seconds, the five values and the adjusted close; a row that is all null is no bar.

    `timestamp` is absent where there are no rows. Raises BadData for columns of unequal length.
    """
    stamps = (chart or {}).get("timestamp")
    if chart is None or stamps is None:
        return [], ()
    try:
        quote = chart["indicators"]["quote"][0]
        columns = [quote[name] for name in _BAR_VALUES]
        adjusted = chart["indicators"].get("adjclose")
        columns.append([None] * len(stamps) if adjusted is None else adjusted[0]["adjclose"])
        if not all(type(column) is list for column in (stamps, *columns)):
            raise TypeError("a column is no list")
        table = list(zip(stamps, *columns, strict=True))
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as cause:
        raise bad_page(f"expected timestamp and {', '.join(_BAR_VALUES)}, equally long", answer) from cause
    traded = [row for row in table if any(value is not None for value in row[1:])]
    return answers.sound_rows(traded, _row, _ROW_SHAPE, instrument)


def _row(row: Row) -> Row | None:
    return row if _is_seconds(row[0]) and set(map(type, row[1:])) <= answers.TEXT_OR_NULL else None


def _bars(rows: list[Row], instrument: str, unit: Any, rejects: tuple[Reject, ...]) -> Parsed:
    names = ("ts", *_BAR_VALUES, _ADJUSTED)
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    values = {"instrument": [instrument] * len(rows)}
    return Parsed(values | {name: list(c) for name, c in zip(names, columns, strict=True)}, unit, rejects)


def _is_price(row: Row, width: int) -> bool:
    """Say whether an intraday row is the newest price and no bar: off the grid, or four equal prices and no volume.

    The bar that holds it stands before it, or comes with the next poll.
    """
    return int(row[0]) % width != 0 or (len(set(row[1:5])) == 1 and row[5] in ("0", None))


def _dated(rows: list[Row], zone: Any, instrument: str) -> tuple[list[tuple[str, Row]], tuple[Reject, ...]]:
    """Return each row with its date before it, and a Reject for each that has none."""
    dated, rejects = [], []
    for row in rows:
        day = day_of(row[0], zone)
        if day is None:
            reason = "expected seconds that are a date"
            rejects.append(answers.reject(row, rule="timestamp_out_of_range", reason=reason, instrument=instrument))
        else:
            dated.append((day, row))
    return dated, tuple(rejects)


def _one_a_day(dated: list[tuple[str, Row]], live: Any) -> list[Row]:
    """Return the rows under their dates, without the one before the live row where both are of the same day.

    "Last two rows are on same day": "most data is simply duplicated; exception is volume", greater on the final row.
    """
    if len(dated) > 1 and dated[-1][1][0] == live and dated[-2][0] == dated[-1][0]:
        dated = [*dated[:-2], dated[-1]]
    return [(day, *row[1:]) for day, row in dated]


def _cut(rows: list[Row], window: tuple[Any, Any] | None) -> list[Row]:
    """Return the rows in the window: days are asked for with margins, and the newest price comes after any end."""
    return rows if window is None else [row for row in rows if window[0] <= row[0] < window[1]]


def days_of(answer: Answer) -> tuple[str, str] | None:
    start, end = answer.request.start, answer.request.end
    return None if start is None or end is None else (first_date(start).isoformat(), first_date(end).isoformat())


def _tomorrow(answer: Answer) -> str:
    """Return the date that has begun at most in the east: a session there has no time in UTC yet to be stored under."""
    return (answer.received_at.astimezone(UTC).date() + timedelta(days=1)).isoformat()


def _seconds_of(answer: Answer) -> tuple[int, int] | None:
    start, end = answer.request.start, answer.request.end
    return None if start is None or end is None else (_seconds_up(start), _seconds_up(end))


def _seconds_up(ts: datetime) -> int:
    return -(-epoch_us(ts) // 1_000_000)


def zone_of(chart: Mapping[str, Any] | None, answer: Answer) -> ZoneInfo:
    """Return the exchange's zone by its name: `gmtoffset` is today's, whatever day a row is of."""
    name = meta_of(chart).get("exchangeTimezoneName")
    try:
        return ZoneInfo(name) if type(name) is str else ZoneInfo("")
    except (ValueError, OSError, KeyError) as cause:
        raise bad_page("expected the name of a time zone in exchangeTimezoneName", answer) from cause


def day_of(seconds: Any, zone: Any) -> str | None:
    if not _is_seconds(seconds):
        return None
    try:
        day: date = (_EPOCH + timedelta(seconds=int(seconds))).astimezone(zone).date()
    except (ValueError, OverflowError):
        return None
    return day.isoformat()


def meta_of(chart: Mapping[str, Any] | None) -> Mapping[str, Any]:
    meta = (chart or {}).get("meta")
    return meta if type(meta) is dict else {}


def _is_seconds(value: Any) -> bool:
    return type(value) is str and _SECONDS.fullmatch(value) is not None
