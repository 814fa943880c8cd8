"""Take a page of Kraken's OHLC or Trades apart, so that a fault can alter one row of it.

Deliberately not here: which row is altered and how (`row_faults.py`).
Invariant: a page that is taken apart and put together unchanged is the same bytes.
"""

import re
from decimal import Decimal

from sandbox.contract import Page, TimeSpoiling

#: The rows stand under the pair's key; `last` comes after them. A book has an object there.
_PAGE = re.compile(r'(\{"error":\[\],"result":\{"[^"]+":\[)(\[.*\])(\],"last":.*)')
_ROW = re.compile(r"\[([^\[\]]*)\]")
_DAY_S = 86_400
_PRICES = {"open": 1, "high": 2, "low": 3, "close": 4}


def page_of(body: bytes) -> Page | None:
    """Return the rows of a page of bars (which begin with a number) or trades, else None."""
    match = _PAGE.fullmatch(body.decode())
    if match is None:
        return None
    # No cell holds a comma or a bracket, so splitting keeps every cell's very text.
    rows = [row.split(",") for row in _ROW.findall(match[2])]
    if rows[0][0].startswith('"'):
        return Page(head=match[1], rows=rows, tail=match[3], prices={}, times=(2,), spoil_time=_spoil)
    return Page(head=match[1], rows=rows, tail=match[3], prices=_PRICES, times=(0,), spoil_time=_spoil)


def _spoil(how: TimeSpoiling, cell: str, now_s: float) -> str:
    """Return a wrong time; both kinds of rows count seconds, trades with a fraction."""
    match how:
        case "future":
            return str(int(now_s) + _DAY_S)
        case "misaligned":
            return str(Decimal(cell) + 7)  # seven seconds off the grid of every interval
        case "microseconds":
            return str(int(Decimal(cell) * 1_000_000))
        case "seconds":
            return str(int(Decimal(cell) / 1000))  # seconds are right here, so the wrong unit is thousands of them
