"""Tables: daily bars of WIKI/PRICES, and observations of a share's column in NDAQ/RTAT10.

An instrument of a table is `VENDOR.TABLE.TICKER.COLUMN`: `NDAQ.RTAT10.TSLA.ACTIVITY` is TSLA's share of what retail
investors trade, `.SENTIMENT` whether they buy or sell. Which columns a table has is not to be guessed, so only those
that are known here can be asked for; how it spells a ticker with a dot is not known either.

Deliberately not here: bulk export, time-series datasets (series.py). Invariant: columns are mapped by name, never by
position, and numbers keep the digits they were sent with.

Source: https://github.com/Nasdaq/data-link-python 1.0.4 (get_table.py); of RTAT10's columns OpenBB-finance/OpenBB
(openbb_nasdaq, top_retail.py), autumn 2026.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, UnknownName
from ingest.market.records import Parsed, Reject
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import first_date
from ingest.providers import answers
from ingest.providers.contract import Query
from ingest.providers.nasdaq_data_link_parts import series
from ingest.wire import Answer, Request

#: Rows a page at most. Source: data-link-python get_table.py, 1.0.4. Read at each `build`, so that a test can lower it.
PAGE_ROWS = 10_000
#: Longer lists work, but then one bad name costs more instruments a second request.
TICKERS = 20
#: What "the newest rows" reach back from `end`: longer than any run of exchange holidays.
NEWEST_DAYS = 10
#: Columns of each table with a row a day and ticker, beside `date` and `ticker`.
OBSERVED: Mapping[str, tuple[str, ...]] = {"NDAQ/RTAT10": ("activity", "sentiment")}

_NAME = "nasdaq_data_link"
_FOLDER, _PRICES = "/datatables/", "WIKI/PRICES"
_VALUES = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "adjusted_close": "adj_close",
}
_NEEDED = ("ticker", "date", *_VALUES.values())
_ROW_SHAPE = "expected a list with an asked ticker, a date and numbers or nulls under the table's columns"
_VALUE_SHAPE = "expected a list with the asked ticker, a date, and a number or null under the column that was asked for"
#: Numbers are read as texts too, so a text is not a date yet.
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NATIVE = re.compile(r"([A-Z0-9]+/[A-Z0-9]+)/([A-Z0-9]+)/([a-z0-9_]+)", re.ASCII)
#: In a JSON string the quotes would be escaped, so this can only be a member's name.
_CURSOR = re.compile(rb'"next_cursor_id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)')


def is_observed(instrument: str) -> bool:
    """Say whether a name is one of a table's columns rather than a dataset's."""
    vendor, *rest = instrument.split(".")
    return len(rest) > 1 and f"{vendor}/{rest[0]}" in OBSERVED


def native_of(instrument: str) -> str:
    """Return `vendor/table/ticker/column`. Raises FixRequest (UnknownName, with the columns there are)."""
    vendor, table, *ticker, column = validate(instrument).split(".")
    columns = OBSERVED[f"{vendor}/{table}"]
    if len(ticker) != 1:
        said = f"expected {vendor}.{table}.TICKER.COLUMN with a ticker without dots; found {instrument!r}"
        raise FixRequest(f"{_NAME}: {said}", provider=_NAME, instrument=instrument)
    known = {_spelt(name): name for name in columns}
    if column not in known:
        raise UnknownName("column", column, known, provider=_NAME)
    return f"{vendor}/{table}/{ticker[0]}/{known[column]}"


def instrument_of(native: str) -> str | None:
    """Return the instrument of `vendor/table/ticker/column`, None where it is not such."""
    found = _NATIVE.fullmatch(native)
    if found is None or found[3] not in OBSERVED.get(found[1], ()):
        return None
    name = f"{found[1].replace('/', '.')}.{found[2]}.{_spelt(found[3])}"
    return name if is_instrument(name) else None


def build_bars(query: Query) -> list[Request]:
    """Return the first page of each batch of tickers."""
    start, end = _window(query)
    natives = {ticker_of(instrument): instrument for instrument in query.instruments}
    tickers = list(natives)
    return [
        _request(_PRICES, some, _NEEDED, (start, end), tuple(natives[ticker] for ticker in some))
        for some in (tickers[i : i + TICKERS] for i in range(0, len(tickers), TICKERS))
    ]


def build_observations(query: Query, instruments: Sequence[str]) -> list[Request]:
    """Return the first page of each column."""
    span, requests = _window(query), []
    for instrument in instruments:
        table, ticker, column = _parts(instrument)
        requests.append(_request(table, [ticker], ("date", "ticker", column), span, (instrument,)))
    return requests


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the same request with the answer's cursor, read without decoding the rows, or None after the last."""
    cursor = _cursor(answer)
    if cursor is None or cursor == dict(request.params).get("qopts.cursor_id"):
        return None  # a cursor that stands still would loop for ever; `_page` reports it
    kept = tuple(p for p in request.params if p[0] != "qopts.cursor_id")
    return replace(request, params=(*kept, ("qopts.cursor_id", cursor)))


def parse_bars(query: Query, answer: Answer) -> Parsed:
    """Return the page's bars in its order, dates as sent. Raises BadData if table, columns or cursor are missing."""
    rows, names = _page(answer, _NEEDED)
    places = {name: names.index(name) for name in _NEEDED}
    tickers = {ticker_of(instrument): instrument for instrument in answer.request.instruments or query.instruments}
    rejects: list[Reject] = []
    columns = _transposed(rows, places, len(names), tickers)
    if columns is None:
        sound = []
        for row in rows:
            if _transposed([row], places, len(names), tickers) is None:
                rejects.append(answers.reject(row, rule="wrong_shape", reason=_ROW_SHAPE))
            else:
                sound.append(row[: len(names)])
        columns = answers.by_column(sound, len(names)) or [[]] * len(names)
    values: dict[str, list[Any]] = {
        "instrument": [tickers[ticker] for ticker in columns[places["ticker"]]],
        "ts": columns[places["date"]],
    }
    values |= {ours: columns[places[theirs]] for ours, theirs in _VALUES.items()}
    return Parsed(values, "date", tuple(rejects))


def parse_observations(instrument: str, answer: Answer) -> Parsed:
    """Return the column's values in the page's order. Raises BadData if table, columns or cursor are missing."""
    _, ticker, column = _parts(instrument)
    rows, names = _page(answer, ("date", "ticker", column))
    day, who, value = (names.index(name) for name in ("date", "ticker", column))

    def read(row: Any) -> tuple[str, str | None] | None:
        if type(row) is not list or len(row) < len(names) or row[who] != ticker:
            return None
        is_day = type(row[day]) is str and _DATE.fullmatch(row[day]) is not None
        return (row[day], row[value]) if is_day and type(row[value]) in answers.TEXT_OR_NULL else None

    found, rejects = answers.sound_rows(rows, read, _VALUE_SHAPE, instrument)
    columns: dict[str, list[Any]] = {
        "instrument": [instrument] * len(found),
        "ts": [row[0] for row in found],
        "vintage": [None] * len(found),  # revised values come without one
        "value": [row[1] for row in found],
    }
    return Parsed(columns, "date", rejects)


def ticker_of(instrument: str) -> str:
    """Return a share's ticker in WIKI/PRICES: `BRK.B` is `BRK_B`. Raises FixRequest for what is no share."""
    if is_pair(validate(instrument)) or series.is_series(instrument):
        said = f"{_NAME} has bars of shares only, like AAPL or BRK.B; found {instrument!r}"
        raise FixRequest(said, provider=_NAME, instrument=instrument)
    return instrument.replace(".", "_")


def _parts(instrument: str) -> tuple[str, str, str]:
    vendor, table, ticker, column = native_of(instrument).split("/")
    return f"{vendor}/{table}", ticker, column


def _spelt(column: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", column.upper())


def _window(query: Query) -> tuple[datetime, datetime]:
    if query.end is None:
        raise FixRequest(f"{_NAME}: a query needs an end; the table can't be asked for its newest rows")
    return (query.end - timedelta(days=NEWEST_DAYS) if query.start is None else query.start), query.end


def _request(
    table: str, tickers: Sequence[str], columns: Sequence[str], span: tuple[datetime, datetime], names: tuple[str, ...]
) -> Request:
    params = (
        ("ticker", ",".join(tickers)),
        ("date.gte", first_date(span[0]).isoformat()),
        ("date.lt", first_date(span[1]).isoformat()),
        ("qopts.columns", ",".join(columns)),
        ("qopts.per_page", str(PAGE_ROWS)),
    )
    return Request(f"{_FOLDER}{table}.json", params, (), names, 1, *span)


def _page(answer: Answer, needed: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """Return the rows and the columns' names. Raises BadData if they, or the cursor, are not as they must be."""
    page = answers.load(_NAME, answer, numbers_as_text=True)
    try:
        rows, names = page["datatable"]["data"], [column["name"] for column in page["datatable"]["columns"]]
        cursor = page["meta"]["next_cursor_id"]
        if type(rows) is not list or any(name not in names for name in needed):
            raise TypeError("data is no list, or a column is missing")
    except (KeyError, TypeError) as cause:
        raise _bad_page(f"expected datatable.data, its columns {', '.join(needed)} and meta", answer) from cause
    if cursor is not None and cursor == dict(answer.request.params).get("qopts.cursor_id"):
        raise _bad_page("its next_cursor_id is the one it was asked with, so the rows after it can't be read", answer)
    return rows, names


def _transposed(rows: list[Any], places: dict[str, int], width: int, tickers: dict[str, str]) -> list[list[Any]] | None:
    """Return the rows by column, or None if the shape of any is off; a null price is left to the quality rules."""
    columns = answers.by_column(rows, width)
    if columns is None or not answers.are_text_or_null(columns[place] for place in places.values()):
        return None
    known = set(columns[places["ticker"]]) <= tickers.keys()
    return columns if known and None not in columns[places["date"]] else None


def _cursor(answer: Answer) -> str | None:
    found = _CURSOR.search(answer.body, max(0, answer.body.rfind(b'"next_cursor_id"')))
    return str(json.loads(found[1])) if found else None


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{_NAME} sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=_NAME, status=answer.status)
