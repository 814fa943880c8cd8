"""Alter one row of a well-formed page, or leave rows out: the wrong data that arrives with HTTP 200.

Deliberately not here: broken transport and broken bodies (`faults.py`); what a page looks like (the dialects).
Invariant: cells and rows that a fault doesn't name keep their very text.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from sandbox.contract import Page, TimeSpoiling

# What a fault may be told: {"row": index, "unit": "us" or "s", "rows": count}; which one it reads stands at each.
Arguments = Mapping[str, object]
RowFault = Callable[[Page, int, Arguments, float], bool]


def spoil_page(name: str, page: Page, *, arguments: Arguments, now_s: float) -> bool:
    """Apply a row fault to the page in place; False where the page offers nothing to spoil."""
    if not page.rows:
        return False
    row = arguments.get("row", len(page.rows) // 2)
    if not isinstance(row, int) or not -len(page.rows) <= row < len(page.rows):
        return False
    return ROW_FAULTS[name](page, row % len(page.rows), arguments, now_s)


def _null_prices(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Make all prices of the row null."""
    for cell in page.prices.values():
        page.rows[row][cell] = "null"
    return bool(page.prices)


def _high_below_low(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Put the high below the low: swap them, or where they are equal cut the high by a tenth."""
    if not {"high", "low"} <= page.prices.keys():
        return False
    cells, high, low = page.rows[row], page.prices["high"], page.prices["low"]
    if cells[high] != cells[low]:
        cells[high], cells[low] = cells[low], cells[high]
        return True
    text = cells[high].strip('"')
    smaller = Decimal(text) - Decimal(text) / 10
    cells[high] = cells[high].replace(text, f"{smaller:f}"[: len(text)])
    return True


def _spoil_times(how: TimeSpoiling, page: Page, row: int, now_s: float) -> bool:
    for cell in page.times:
        page.rows[row][cell] = page.spoil_time(how, page.rows[row][cell], now_s)
    return bool(page.times)


def _future_timestamp(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Date the row after now."""
    return _spoil_times("future", page, row, now_s)


def _wrong_unit(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Write the row's time in microseconds, or in seconds with {"unit": "s"}."""
    return _spoil_times("seconds" if arguments.get("unit") == "s" else "microseconds", page, row, now_s)


def _misaligned(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Move the row off the grid of its interval or calendar."""
    return _spoil_times("misaligned", page, row, now_s)


def _repeated_row(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Serve the row twice in succession."""
    page.rows.insert(row, list(page.rows[row]))
    return True


def _missing_row(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Leave the row out: a hole inside the page."""
    del page.rows[row]
    return True


def _short_page(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Keep the first half of the rows, or as many as {"rows": n} says; the rest of the body stays."""
    kept = arguments.get("rows", len(page.rows) // 2)
    if not isinstance(kept, int) or not 0 <= kept < len(page.rows):
        return False
    del page.rows[kept:]
    return True


def _out_of_order(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Serve every second row first, then the others: neither ascending nor descending."""
    if len(page.rows) < 3:
        return False
    page.rows[:] = page.rows[1::2] + page.rows[::2]
    return True


def _empty_page(page: Page, row: int, arguments: Arguments, now_s: float) -> bool:
    """Serve a well-formed page without rows."""
    page.rows.clear()
    return True


ROW_FAULTS: Mapping[str, RowFault] = {
    "null_prices": _null_prices,
    "high_below_low": _high_below_low,
    "future_timestamp": _future_timestamp,
    "wrong_unit": _wrong_unit,
    "misaligned": _misaligned,
    "repeated_row": _repeated_row,
    "missing_row": _missing_row,
    "short_page": _short_page,
    "empty_page": _empty_page,
    "out_of_order": _out_of_order,
}
