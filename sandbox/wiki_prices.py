"""The table WIKI/PRICES: the real daily bars of the wheel `bokeh_sampledata`.

Deliberately not here: how a table is filtered and paged (`nasdaq_table.py`).
Invariant: a cell is the very text that it has in the wheel's file.
"""

import csv
import gzip
import importlib.resources
import re
from collections.abc import Sequence
from functools import cache

from sandbox.nasdaq_table import DataTable, Row

# Type names as the WIKI table listed them while it was fed (until 2018); unconfirmed since.
COLUMNS = {
    "ticker": "String",
    "date": "Date",
    "open": "BigDecimal(34,12)",
    "high": "BigDecimal(34,12)",
    "low": "BigDecimal(34,12)",
    "close": "BigDecimal(34,12)",
    "volume": "BigDecimal(37,15)",
    "adj_close": "BigDecimal(50,28)",
}
_HEADER = ["Ticker", "Date", "Open", "High", "Low", "Close", "Volume", "Adj Close"]
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_QUOTED = 2  # the first two cells, ticker and date, are strings


@cache
def load_table() -> DataTable:
    """Read the wheel's file as text, once for all dialects that serve it.

    Raises ValueError where a cell could not stand in JSON as it is.
    """
    packed = (importlib.resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz").read_bytes()
    header, *lines = csv.reader(gzip.decompress(packed).decode().splitlines())
    if header != _HEADER:
        msg = f"stocks.csv.gz has the columns {header}, expected {_HEADER}: install bokeh-sampledata 2026.1"
        raise ValueError(msg)
    return DataTable(COLUMNS, [_row(line) for line in lines])


def _row(line: Sequence[str]) -> Row:
    for number in line[_QUOTED:]:
        if not _NUMBER.fullmatch(number):
            msg = f"{number!r} in the row {line} is no JSON number"
            raise ValueError(msg)
    quoted = [f'"{cell}"' for cell in line[:_QUOTED]]
    return Row(line[0], line[1], (*quoted, *line[_QUOTED:]))
