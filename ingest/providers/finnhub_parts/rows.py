"""Finnhub's answers as rows: candles, ticks, quotes, the best bid and ask, news, economic series.

Deliberately not here: what is asked (finnhub.py). Invariant: numbers keep the digits they were sent with, and a row is
read whole or rejected; only rows beyond what the request asks for are left out, because the API can't ask so finely.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from ingest.errors import BadData
from ingest.market.intervals import SECONDS
from ingest.market.records import Parsed, Reject
from ingest.market.symbols import is_instrument
from ingest.market.times import epoch_us, first_date
from ingest.providers import answers
from ingest.providers.finnhub_parts.symbols import PROVIDER, TOPICS, economic_code
from ingest.wire import Answer

DAY_S = SECONDS["1d"]
#: A daily bar is stamped 00:00 UTC or midnight in New York (the documentation's own example): 04:00 or 05:00 UTC.
LATEST_STAMP_S = 5 * 3600

_CANDLES = {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
_CANDLE_SHAPE = "expected whole seconds in t, and numbers or nulls in o, h, l, c and v"
_STAMP_SHAPE = "expected a daily bar stamped between 00:00 and 05:00 UTC, whose date is its session's"
_TICK_SHAPE = "expected whole milliseconds in t, and numbers in p and v"
_NEWS_SHAPE = "expected an object with whole datetime and id, and text in headline, url, source, summary and related"
_ARTICLE = ("headline", "url", "source", "summary", "related")
_VALUE_SHAPE = "expected an object with an ISO date and a number or null"
_WHOLE_SECONDS = re.compile(r"(\d{1,11})(?:\.0+)?", re.ASCII)
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ZERO = re.compile(r"-?0*\.?0*", re.ASCII)
_LAST_DAY = date.max.toordinal() - date(1970, 1, 1).toordinal()


def bad_page(expected: str, answer: Answer) -> BadData:
    """Return the error for an answer that is no page: what was expected of it."""
    said = f"{PROVIDER} sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=PROVIDER, status=answer.status)


def is_zero(value: Any) -> bool:
    """Say whether a number read as text is zero, or is none: what an unknown symbol's figures are."""
    return value is None or (type(value) is str and _ZERO.fullmatch(value) is not None)


def candles(page: Any, instrument: str, interval: str, answer: Answer) -> Parsed:
    """Return the bars of `{"s": "ok", "t": [..], "o": [..], ..}`; `no_data` is none."""
    status = page.get("s") if type(page) is dict else None
    if status == "no_data":
        return _parsed("date" if interval == "1d" else "s", (), ("instrument", "ts", *_CANDLES), [])
    rows = _transposed(page, ("t", *_CANDLES.values()), answer) if status == "ok" else None
    if rows is None:
        raise bad_page("s to be ok or no_data", answer)
    sound, rejects = answers.sound_rows(rows, _candle, _CANDLE_SHAPE, instrument)
    unit = "s"
    if interval == "1d":
        unit, (sound, late) = "date", _midnights(sound, instrument)
        rejects += late
    sound = _near(sound, SECONDS[interval], answer)
    if interval == "1d":
        sound = [(date.fromordinal(719_163 + row[0] // DAY_S).isoformat(), *row[1:]) for row in sound]
    return _parsed(unit, rejects, ("instrument", "ts", *_CANDLES), [(instrument, *row) for row in sound])


def ticks(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the trades of a day's page. Their number is their place in the day, since they have none of their own."""
    rows = _transposed(page, ("t", "p", "v"), answer)
    skipped, count = page.get("skip"), page.get("count")
    if skipped != dict(answer.request.params).get("skip", "0") or not answers.is_whole(skipped):
        raise bad_page("skip to be what was asked", answer)
    if count != str(len(rows)):
        raise bad_page(f"{len(rows)} ticks, as many as count says", answer)
    numbered = [(*row, str(int(skipped) + place)) for place, row in enumerate(rows, start=1)]
    sound, rejects = answers.sound_rows(numbered, _tick, _TICK_SHAPE, instrument)
    sound = _inside(sound, 1_000, answer)
    values = [(instrument, when, number, price, size) for when, price, size, number in sound]
    return _parsed("ms", rejects, ("instrument", "ts", "trade_id", "price", "size"), values)


def quote(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the last price of `/quote`. `t` is missing in its schema: without it, the receive time dates the row."""
    names = ("instrument", "ts", "last")
    return _single(page, instrument, names, "s", ("c",), answer)


def best_bid_and_ask(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the book of one level that `/stock/bidask` is; a side at price zero has no orders."""
    names = ("instrument", "ts", "bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
    return _single(page, instrument, names, "ms", ("b", "bv", "a", "av"), answer)


def news(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the articles, newest first. An id of 0 is none: then the URL is what tells an article."""
    if type(page) is not list:
        raise bad_page("a list of articles", answer)
    sound, rejects = answers.sound_rows(page, _article, _NEWS_SHAPE, instrument)
    sound = _inside(sound, 1, answer)
    names = ("instrument", "ts", "article_id", "title", "url", "source", "summary", "instruments")
    return _parsed("s", rejects, names, [(instrument, *row) for row in sound])


def observations(page: Any, instrument: str, answer: Answer) -> Parsed:
    """Return the values of the window: a series always comes whole."""
    rows = page.get("data") if type(page) is dict else None
    if type(rows) is not list:
        raise bad_page("a list in data", answer)
    if page.get("code") != economic_code(instrument) and rows:
        said = f"{PROVIDER} sent another series than was asked for"
        raise BadData(said, rule="unknown_symbol", provider=PROVIDER, status=answer.status)
    sound, rejects = answers.sound_rows(rows, _value, _VALUE_SHAPE, instrument)
    start, end = answer.request.start, answer.request.end
    if start is not None and end is not None:
        first, after = first_date(start).isoformat(), first_date(end).isoformat()
        sound = [row for row in sound if first <= row[0] < after]
    return _parsed("date", rejects, ("instrument", "ts", "value"), [(instrument, *row) for row in sound])


def _parsed(unit: Any, rejects: Sequence[Reject], names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Parsed:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return Parsed({name: list(values) for name, values in zip(names, columns, strict=True)}, unit, tuple(rejects))


def _transposed(page: Any, names: Sequence[str], answer: Answer) -> list[tuple[Any, ...]]:
    """Return columns that lie side by side as rows. Raises BadData where one is missing or shorter."""
    columns = [page.get(name) for name in names] if type(page) is dict else [None]
    if any(type(column) is not list for column in columns):
        raise bad_page(f"lists in {', '.join(names)}", answer)
    try:
        return list(zip(*columns, strict=True))
    except ValueError as cause:
        raise bad_page(f"lists of one length in {', '.join(names)}", answer) from cause


def _candle(row: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """FX times are numbers with a fraction in the schema, so `1572651390.0` is one, too."""
    when = _WHOLE_SECONDS.fullmatch(row[0]) if type(row[0]) is str else None
    sound = when is not None and set(map(type, row[1:])) <= answers.TEXT_OR_NULL
    return (int(when[1]), *row[1:]) if when is not None and sound else None


def _midnights(rows: Sequence[tuple[Any, ...]], instrument: str) -> tuple[list[tuple[Any, ...]], tuple[Reject, ...]]:
    """Return daily bars at their date's midnight, and a Reject for each whose stamp leaves the date in doubt."""
    sound, rejects = [], []
    for row in rows:
        day, rest = divmod(row[0], DAY_S)
        if rest > LATEST_STAMP_S or day > _LAST_DAY:
            reject = answers.reject(list(row), rule="misaligned", reason=_STAMP_SHAPE, instrument=instrument)
            rejects.append(reject)
        else:
            sound.append((day * DAY_S, *row[1:]))
    return sound, tuple(rejects)


def _tick(row: tuple[Any, ...]) -> tuple[Any, ...] | None:
    sound = answers.is_whole(row[0]) and set(map(type, row[1:])) <= answers.TEXT_OR_NULL
    return (int(row[0]), *row[1:]) if sound else None


def _article(row: Any) -> tuple[Any, ...] | None:
    if type(row) is not dict or not answers.is_whole(row.get("datetime")):
        return None
    texts, number = [row.get(name) for name in _ARTICLE], row.get("id")
    if not set(map(type, [*texts, number])) <= answers.TEXT_OR_NULL:
        return None
    title, url, source, summary, related = texts
    identity = number if answers.is_whole(number) and not is_zero(number) else url
    return int(row["datetime"]), identity, title, url, source, summary, _names(related or "")


def _names(related: str) -> str:
    """Return what an article is about, in our grammar; the rest is left out."""
    found = (name.strip() for name in related.split(","))
    return ",".join(dict.fromkeys(name for name in found if is_instrument(name) and name not in TOPICS))


def _value(row: Any) -> tuple[Any, ...] | None:
    when, value = (row.get("date"), row.get("value")) if type(row) is dict else (None, None)
    sound = type(when) is str and _ISO_DATE.fullmatch(when) and type(value) in answers.TEXT_OR_NULL
    return (when, value) if sound else None


def _single(
    page: Any, instrument: str, names: Sequence[str], unit: Any, cells: Sequence[str], answer: Answer
) -> Parsed:
    if type(page) is not dict:
        raise bad_page("an object", answer)
    when, values = page.get("t"), [page.get(cell) for cell in cells]
    sound = (when is None or answers.is_whole(when)) and set(map(type, values)) <= answers.TEXT_OR_NULL
    if not sound or values[0] is None:
        reason = f"expected numbers in {', '.join(cells)}, and a whole one in t"
        reject = answers.reject(page, rule="wrong_shape", reason=reason, instrument=instrument)
        return _parsed(unit, (reject,), names, [])
    if len(values) == 4:
        values = [*_side(values[0], values[1]), *_side(values[2], values[3])]
    return _parsed(unit, (), names, [(instrument, None if when is None else int(when), *values)])


def _side(price: Any, size: Any) -> tuple[str, str]:
    return ("", "") if is_zero(price) or size is None or "," in f"{price}{size}" else (price, size)


def _near(rows: list[tuple[Any, ...]], width_s: int, answer: Answer) -> list[tuple[Any, ...]]:
    """Leave out the bars next to the window, since whether `from` and `to` are in it is not documented.

    What lies further off has no reason to be there: the quality rules say so.
    """
    start, end = answer.request.start, answer.request.end
    if start is None or end is None:
        return rows
    first, after = _whole_s(start), _whole_s(end)
    return [row for row in rows if not (first - width_s <= row[0] < first or after <= row[0] < after + width_s)]


def _inside(rows: list[tuple[Any, ...]], per_s: int, answer: Answer) -> list[tuple[Any, ...]]:
    """Leave out what is not in the window: these are asked for by whole days. Times are the first cells."""
    start, end = answer.request.start, answer.request.end
    if start is None or end is None:
        return rows
    first, after = (epoch_us(bound) * per_s for bound in (start, end))
    return [row for row in rows if first <= row[0] * 1_000_000 < after]


def _whole_s(bound: datetime) -> int:
    """Return the first whole second that is not before the bound."""
    return -(-epoch_us(bound) // 1_000_000)
