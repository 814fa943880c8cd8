"""What a farm must make of FRED: windows to copy whole, their rows, and errors with what must follow.

Deliberately not here: answers (`dialects/fred.py`). Invariant: rows come from the market, never out of an answer.
"""

import json
from datetime import UTC, date, datetime

from sandbox.contract import ErrorCase, Example
from sandbox.fred_files import MISSING
from sandbox.fred_series import FredMarket

_DOCS = "https://fred.stlouisfed.org/docs/api/fred"
_CODE = "github.com/mortada/fredapi issues"

UNRATE = Example("observations", "UNRATE", "", "2012-01-01T00:00:00Z", "2020-01-01T00:00:00Z")
EXAMPLES = (
    UNRATE,
    #: more vintages than one answer may have, in steps of real time of which some have two pages
    Example("observations", "DGS10", "", "2009-01-01T00:00:00Z", "2014-06-01T00:00:00Z"),
    #: observed long before the archive begins
    Example("observations", "DGS10", "", "1995-01-01T00:00:00Z", "1996-01-01T00:00:00Z"),
    #: several pages of vintages
    Example("observations", "PAYEMS", "", "2000-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
    Example("observations", "INDPRO", "", "2015-01-15T12:00:00Z", "2016-02-01T00:00:00Z"),
    Example("observations", "GDPC1", "", "2010-01-01T00:00:00Z", "2017-01-01T00:00:00Z"),
    #: real figures
    Example("observations", "UNRATENSA", "", "2006-01-01T00:00:00Z", "2017-01-01T00:00:00Z"),
    #: published before the dates they are of
    Example("observations", "FEDTARMD", "", "2018-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
    #: not archived
    Example("observations", "SP500", "", "2021-01-01T00:00:00Z", "2022-01-01T00:00:00Z"),
)
#: Real figures of two wheels, there where those are: a series that was revised back to 2014, a price with blanks, an
#: index of shares, the accounts as of 2009, prices of three vintages.
_OF_FILES = (
    Example("observations", "TTLCONS", "", "2010-01-01T00:00:00Z", "2017-01-01T00:00:00Z"),
    Example("observations", "DCOILWTICO", "", "2017-01-01T00:00:00Z", "2019-01-01T00:00:00Z"),
    Example("observations", "NASDAQCOM", "", "2016-01-01T00:00:00Z", "2019-02-01T00:00:00Z"),
    Example("observations", "PCECC96", "", "1959-01-01T00:00:00Z", "2010-01-01T00:00:00Z"),
    Example("observations", "CPILFESL", "", "1980-01-01T00:00:00Z", "2019-01-01T00:00:00Z"),
)


def _said(status: int, text: str) -> dict[str, object]:
    body = json.dumps({"error_code": status, "error_message": text})
    return {"fault": "status", "args": {"status": status, "body": body}}


ERROR_CASES = (
    ErrorCase(
        "a key that is not registered (400, not 401)",
        UNRATE,
        "key",
        f"{_DOCS}/errors.html",
        key="0123456789abcdef0123456789abcdef",
    ),
    ErrorCase("a key of the wrong form", UNRATE, "key", f"{_DOCS}/errors.html", key="wrong-key"),
    ErrorCase(
        "a series that does not exist",
        Example("observations", "NOSUCH", "", UNRATE.start, UNRATE.end),
        "unknown",
        f"{_DOCS}/errors.html",
    ),
    ErrorCase(
        "more than 120 requests in a minute",
        UNRATE,
        "wait",
        f"{_DOCS}/errors.html",
        _said(429, "Too Many Requests.  Exceeded Rate Limit"),
    ),
    ErrorCase(
        "a parameter that is none",
        UNRATE,
        "request",
        f"{_CODE}/9",
        _said(400, "Bad Request.  Variable realtime_start is not a YYYY-MM-DD formatted date (e.g. 2000-02-24)."),
    ),
    ErrorCase("its side fails", UNRATE, "again", f"{_DOCS}/errors.html", _said(500, "Internal Server Error")),
    ErrorCase("a resource is locked", UNRATE, "again", f"{_DOCS}/errors.html", _said(423, "Locked")),
    ErrorCase(
        "dates before the series begins",
        Example("observations", "UNRATE", "", "1900-01-01T00:00:00Z", "1901-01-01T00:00:00Z"),
        "nothing",
        f"{_DOCS}/series_observations.html",
    ),
)


def examples(market: FredMarket) -> tuple[Example, ...]:
    """Return the examples of the series that the market has."""
    return (*EXAMPLES, *(one for one in _OF_FILES if one.instrument in market.series))


def rows_of(market: FredMarket, example: Example, *, today: date) -> list[dict[str, str | None]]:
    """Return every vintage of the example's dates that is published by `today`, by date and vintage.

    What is not archived has its newest values only, and no vintages.
    """
    start, end = (_moment(text) for text in (example.start, example.end))
    is_archived = market.series[example.instrument].archived_from is not None
    rows: list[dict[str, str | None]] = []
    for day, history in market.histories(example.instrument, today):
        if not start <= datetime(day.year, day.month, day.day, tzinfo=UTC) < end:
            continue
        for published, text in history if is_archived else history[-1:]:
            row = {"ts": f"{day}T00:00:00.000Z", "value": None if text == MISSING else text}
            rows.append(row | {"vintage": published.isoformat()} if is_archived else row)
    return rows


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
