"""Take a page of Coinbase candles or trades apart, so that a fault can alter one row of it.

Deliberately not here: which row is altered and how (`row_faults.py`).
Invariant: a page that is taken apart and put together unchanged is the same bytes.
"""

import re
from datetime import UTC, datetime, timedelta

from sandbox.contract import Page, TimeSpoiling

_CANDLE = re.compile(r"\[([^\[\]]+)\]")
_TRADE = re.compile(r"\{([^{}]+)\}")
_DAY_S = 86_400
_PRICES = {"low": 1, "high": 2, "open": 3, "close": 4}


class TradePage(Page):
    """A page whose rows are objects: a cell is a member, name and value."""

    def text(self) -> str:
        return self.head + ",".join(f"{{{','.join(row)}}}" for row in self.rows) + self.tail


def page_of(body: bytes) -> Page | None:
    """Return the rows of a page of candles (arrays) or trades (objects that begin with their time), else None."""
    text = body.decode()
    # No cell holds a comma or a bracket, so splitting keeps every cell's very text.
    if text.startswith("[["):
        rows = [row.split(",") for row in _CANDLE.findall(text)]
        return Page(head="[", rows=rows, tail="]", prices=_PRICES, times=(0,), spoil_time=_spoil_seconds)
    if text.startswith('[{"time"'):
        rows = [row.split(",") for row in _TRADE.findall(text)]
        return TradePage(head="[", rows=rows, tail="]", prices={}, times=(0,), spoil_time=_spoil_text)
    return None


def iso_time(time_us: int) -> str:
    """Print a moment as Coinbase does: UTC, the fraction with six digits, or three where the others are zero."""
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    fraction = f"{time_us % 1_000_000:06d}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction[:3] if fraction.endswith('000') else fraction}Z"


def _spoil_seconds(how: TimeSpoiling, cell: str, now_s: float) -> str:
    match how:
        case "future":
            return str(int(now_s) + _DAY_S)
        case "misaligned":
            return str(int(cell) + 7)  # seven seconds off the grid of every granularity
        case "microseconds":
            return f"{cell}000000"
        case "seconds":
            return cell[:-3]  # seconds are right here, so the wrong unit is thousands of them


def _spoil_text(how: TimeSpoiling, cell: str, now_s: float) -> str:
    moment = datetime.fromisoformat(cell.removeprefix('"time":').strip('"'))
    since = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    match how:
        case "future":
            return f'"time":"{iso_time((int(now_s) + _DAY_S) * 1_000_000)}"'
        case "misaligned":
            return f'"time":"{iso_time(since + 7_000_000)}"'
        case "microseconds":
            return f'"time":{since}'
        case "seconds":
            return f'"time":{since // 1_000_000}'
