"""How Bitfinex prints numbers and rows, and a page of candles or trades taken apart for a fault to alter one row.

Deliberately not here: which row is altered and how (`row_faults.py`).
Invariant: a page that is taken apart and put together unchanged is the same bytes.
"""

import re

from sandbox.contract import Page, TimeSpoiling

_ROW = re.compile(r"\[([^\[\]]*)\]")
_DAY_MS = 86_400_000
#: Close comes before high and low. Source: https://docs.bitfinex.com/reference/rest-public-candles, 2026-11-25.
_PRICES = {"open": 1, "close": 2, "high": 3, "low": 4}
_CANDLE_CELLS, _TRADE_CELLS = 6, 4


def number(units: int, decimals: int) -> str:
    """Print a number of the last decimal's units as JSON does: no zeros at its end, no point in a whole one."""
    sign, units = ("-" if units < 0 else ""), abs(units)
    whole, part = divmod(units, 10**decimals)
    fraction = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def page_of(body: bytes) -> Page | None:
    """Return the rows of a page of candles or trades, told by their number of cells; None for every other body."""
    text = body.decode()
    if not text.startswith("[["):
        return None
    # No cell holds a comma or a bracket, so splitting keeps every cell's very text.
    rows = [row.split(",") for row in _ROW.findall(text)]
    width = len(rows[0])
    if rows[0][0].startswith('"') or any(len(row) != width for row in rows):
        return None
    if width == _CANDLE_CELLS:
        return Page(head="[", rows=rows, tail="]", prices=_PRICES, times=(0,), spoil_time=_spoil)
    if width == _TRADE_CELLS:
        return Page(head="[", rows=rows, tail="]", prices={}, times=(1,), spoil_time=_spoil)
    return None


def _spoil(how: TimeSpoiling, cell: str, now_s: float) -> str:
    match how:
        case "future":
            return str(int(now_s * 1000) + _DAY_MS)
        case "misaligned":
            return str(int(cell) + 7_000)  # seven seconds off the grid of every interval
        case "microseconds":
            return f"{cell}000"
        case "seconds":
            return cell[:-3]
