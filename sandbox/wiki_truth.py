"""What must come of Nasdaq Data Link's sandbox: examples, their rows, and its own errors with what must follow.

Deliberately not here: how it answers (`dialects/nasdaq_data_link.py`). Invariant: rows are those of the table's file.
Source of the errors: https://docs.data.nasdaq.com/docs/error-codes and Nasdaq/data-link-python 1.0.4, autumn 2026.
"""

import json
from collections.abc import Iterable

from sandbox.contract import ErrorCase, Example
from sandbox.wiki_prices import COLUMNS, Row

# One page holds 10,000 rows, more than a share has: pages follow each other only where several shares are asked for.
_LONG = ("2000-01-01T00:00:00Z", "2014-01-01T00:00:00Z")
EXAMPLES = (
    Example("bars", "AAPL", "1d", *_LONG),
    Example("bars", "GOOG", "1d", *_LONG),
    Example("bars", "IBM", "1d", *_LONG),
    Example("bars", "MSFT", "1d", *_LONG),
    # The bounds are off midnight, so the 3rd is not in it and the 31st is.
    Example("bars", "AAPL", "1d", "2012-01-03T09:30:00Z", "2012-01-31T16:00:00Z"),
)

_CODES = "https://docs.data.nasdaq.com/docs/error-codes, 2026-07-22"
_LIMITS = "https://help.data.nasdaq.com/article/490-is-there-a-rate-limit-or-speed-limit-for-api-usage, autumn 2026"
_BARS = Example("bars", "AAPL", "1d", "2012-01-01T00:00:00Z", "2013-01-01T00:00:00Z")


def _says(status: int, code: str, message: str) -> dict[str, object]:
    body = json.dumps({"quandl_error": {"code": code, "message": message}}, separators=(",", ":"))
    return {"fault": "status", "args": {"status": status, "body": body}}


_SPEED = "You have exceeded the API speed limit of 300 calls per 10 seconds. Please slow down."
_DAY = "You have exceeded the API limit of 50,000 calls per day."
_PLAN = "You do not have permission to view this dataset. Please subscribe to this database to get access."
ERROR_CASES = (
    ErrorCase("a wrong key", _BARS, "key", _CODES, key="wrong"),
    ErrorCase("too many calls at once", _BARS, "wait", _LIMITS, _says(429, "QELx04", _SPEED)),
    ErrorCase("the day's calls are spent", _BARS, "quota", _LIMITS, _says(429, "QELx03", _DAY)),
    ErrorCase("no subscription", _BARS, "plan", _CODES, _says(403, "QEPx04", _PLAN)),
    ErrorCase("a column that is none", _BARS, "request", _CODES, _says(422, "QESx04", "Invalid column.")),
    ErrorCase("its side fails", _BARS, "again", _CODES, {"fault": "status", "args": {"status": 500}}),
    ErrorCase("a share that is none", Example("bars", "NONE", "1d", _BARS.start, _BARS.end), "nothing", _CODES),
)


def rows(table: Iterable[Row], example: Example) -> list[dict[str, str | None]]:
    """Return the example's rows; a day is in the window if its midnight is."""
    found = []
    for row in table:
        if row.ticker == example.instrument and example.start <= f"{row.date}T00:00:00Z" < example.end:
            cells = dict(zip(COLUMNS, row.cells, strict=True))
            values: dict[str, str | None] = {name: cells[name] for name in ("open", "high", "low", "close", "volume")}
            found.append({"ts": f"{row.date}T00:00:00Z"} | values | {"adjusted_close": cells["adj_close"]})
    return found
