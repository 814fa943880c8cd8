"""The table NDAQ/RTAT10: what retail investors trade, synthetic: a function of ticker and date alone.

`activity` is a ticker's share of what they trade, `sentiment` how they stand to it, from -100 to 100. The real one has
the ten most traded tickers of each day; here all have all weekdays, with a null and whole numbers among decimals now
and then.

Deliberately not here: how a table is filtered and paged (`nasdaq_table.py`).
Invariant: a cell is printed as the text it has here.
"""

import zlib
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache

from sandbox.nasdaq_table import DataTable, Row

#: Source: the record of OpenBB-finance/OpenBB's openbb_nasdaq.
COLUMNS = {"date": "Date", "ticker": "String", "activity": "double", "sentiment": "Integer"}
TICKERS = ("AAPL", "NVDA", "TSLA")
_FIRST, _LAST = date(2016, 1, 4), date(2024, 6, 26)
_SATURDAY = 5


@cache
def retail_table() -> DataTable:
    return DataTable(COLUMNS, list(_rows()))


def _rows() -> Iterator[Row]:
    for ticker in TICKERS:
        day = _FIRST
        while day <= _LAST:
            if day.weekday() < _SATURDAY:
                number = zlib.crc32(f"{ticker}/{day}".encode())
                activity = "null" if number % 97 == 0 else f"{number % 1000 / 10_000:.4f}".rstrip("0").rstrip(".")
                cells = (f'"{day}"', f'"{ticker}"', activity, str(number // 1000 % 201 - 100))
                yield Row(ticker, str(day), cells)
            day += timedelta(days=1)
