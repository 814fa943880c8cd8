"""What a farm must make of Nasdaq Data Link: windows to copy whole, their rows, and errors with what must follow.

Deliberately not here: answers (`dialects/nasdaq_data_link.py`). Invariant: rows come from the data, never out of an
answer.
"""

import json
import re
from datetime import UTC, datetime

from sandbox.contract import ErrorCase, Example
from sandbox.nasdaq_retail import COLUMNS as RETAIL_COLUMNS
from sandbox.nasdaq_retail import retail_table
from sandbox.nasdaq_series import NasdaqSeries
from sandbox.nasdaq_table import DataTable
from sandbox.wiki_prices import COLUMNS

_CODES = "https://docs.data.nasdaq.com/docs/error-codes"
_RATES = "https://docs.data.nasdaq.com/docs/rate-limits-1"

BARS = Example("bars", "AAPL", "1d", "2005-01-03T00:00:00Z", "2012-01-01T00:00:00Z")
GOLD = Example("observations", "LBMA.GOLD.USDPM", "", "2015-01-02T00:00:00Z", "2020-01-01T00:00:00Z")
EXAMPLES = (
    BARS,
    Example("bars", "IBM", "1d", "2000-03-01T00:00:00Z", "2000-12-31T12:00:00Z"),
    GOLD,
    #: the dataset's last years, of which it lacks the newest
    Example("observations", "LBMA.GOLD.EUROAM", "", "2022-06-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    #: nulls until the euro began
    Example("observations", "LBMA.GOLD.EUROPM", "", "1998-10-01T00:00:00Z", "1999-03-01T00:00:00Z"),
    #: two pages in the tests, nulls among them
    Example("observations", "NDAQ.RTAT10.TSLA.ACTIVITY", "", "2016-01-01T00:00:00Z", "2019-01-01T12:00:00Z"),
    Example("observations", "NDAQ.RTAT10.AAPL.SENTIMENT", "", "2024-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    #: real figures
    Example("observations", "FRED.UNRATENSA.VALUE", "", "2000-01-01T00:00:00Z", "2017-01-01T00:00:00Z"),
    Example("observations", "WIKI.MSFT.ADJCLOSE", "", "2008-01-01T12:00:00Z", "2009-01-01T00:00:00Z"),
)


def _said(status: int, code: str, text: str) -> dict[str, object]:
    body = json.dumps({"quandl_error": {"code": code, "message": text}})
    return {"fault": "status", "args": {"status": status, "body": body}}


ERROR_CASES = (
    ErrorCase("a key that is not recognized", BARS, "key", _CODES, key="wrong-key"),
    ErrorCase("the same for a dataset", GOLD, "key", _CODES, key="wrong-key"),
    ErrorCase(
        "the day's calls are spent",
        BARS,
        "quota",
        _RATES,
        _said(429, "QELx03", "You have exceeded the API limit of 50,000 calls per day."),
    ),
    ErrorCase(
        "too many calls in ten seconds",
        GOLD,
        "wait",
        _RATES,
        _said(429, "QELx04", "You have exceeded the API speed limit of 300 calls per 10 seconds. Please slow down."),
    ),
    ErrorCase(
        "no subscription",
        GOLD,
        "plan",
        _CODES,
        _said(403, "QEPx04", "You do not have permission to view this dataset. Please subscribe to this database."),
    ),
    ErrorCase(
        "a column that the table does not have",
        BARS,
        "request",
        _CODES,
        _said(422, "QESx04", "You have specified an invalid column."),
    ),
    ErrorCase("its side fails", BARS, "again", _CODES, _said(500, "QEMx01", "We have encountered an internal error.")),
    ErrorCase(
        "its service is not available",
        GOLD,
        "again",
        _CODES,
        _said(503, "QEXx01", "The service is unavailable."),
    ),
    ErrorCase(
        "a dataset that does not exist",
        Example("observations", "LBMA.SILVER.USD", "", GOLD.start, GOLD.end),
        "unknown",
        _CODES,
    ),
    ErrorCase(
        "a column that the dataset does not have",
        Example("observations", "LBMA.GOLD.YENAM", "", GOLD.start, GOLD.end),
        "unknown",
        "https://docs.data.nasdaq.com/docs/in-depth-usage",
    ),
    ErrorCase(
        "a ticker that the table does not have",
        Example("bars", "NOSUCH", "1d", BARS.start, BARS.end),
        "nothing",
        "https://docs.data.nasdaq.com/docs/in-depth-usage-1",
    ),
)


def rows_of(table: DataTable, series: NasdaqSeries, example: Example) -> list[dict[str, str | None]]:
    """Return the example's rows, oldest first. The data is frozen, so no clock matters."""
    start, end = (_moment(text) for text in (example.start, example.end))
    rows: list[dict[str, str | None]] = []
    if example.dataset == "bars":
        columns = {name: place for place, name in enumerate(COLUMNS) if name not in ("ticker", "date")}
        for row in table.of(example.instrument):
            if start <= _moment(row.date) < end:
                values = {name: row.cells[place] for name, place in columns.items()}
                values["adjusted_close"] = values.pop("adj_close")
                rows.append({"ts": f"{row.date}T00:00:00.000Z", **values})
        return rows
    if example.instrument.startswith("NDAQ.RTAT10."):
        ticker, column = example.instrument.removeprefix("NDAQ.RTAT10.").split(".")
        place = list(RETAIL_COLUMNS).index(column.lower())
        found = [row for row in retail_table().of(ticker) if start <= _moment(row.date) < end]
        told = [None if row.cells[place] == "null" else row.cells[place] for row in found]
        return [{"ts": f"{row.date}T00:00:00.000Z", "value": one} for row, one in zip(found, told, strict=True)]
    database, code, column = example.instrument.split(".")
    dataset = series.dataset(database, code)
    assert dataset is not None
    [place] = [i for i, name in enumerate(dataset.columns) if re.sub(r"\W", "", name).upper() == column]
    for day, values_of_day in dataset.lines:
        if start <= _moment(day.isoformat()) < end:
            rows.append({"ts": f"{day}T00:00:00.000Z", "value": values_of_day[place]})
    return rows


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
