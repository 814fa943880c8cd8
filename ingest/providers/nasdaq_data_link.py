"""Nasdaq Data Link: daily bars of US shares from the datatable WIKI/PRICES (frozen since 2018), and observations.

Bars are of shares (`AAPL`, `BRK.B`); observations of a time-series dataset's column (`LBMA.GOLD.USDAM`), which
`nasdaq_data_link_parts/series.py` explains. Many of both are frozen: an answer without anything new is no error.

Deliberately not here: bulk export. Invariant: columns are mapped by name, never by position,
and numbers keep the digits they were sent with.

Source for all facts, unless another stands beside one: https://github.com/Nasdaq/data-link-python 1.0.4
(get_table.py, connection.py, api_config.py), read autumn 2026.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.records import Parsed, Reject
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import first_date
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.nasdaq_data_link_parts import series
from ingest.wire import Answer, KeySpec, Limit, Request

#: Rows a page at most. Source: data-link-python get_table.py, 1.0.4. Read at each `build`, so that a test can lower it.
PAGE_ROWS = 10_000
#: Longer lists work, but then one bad name costs more instruments a second request.
TICKERS = 20
#: What "the newest rows" reach back from `end`: longer than any run of exchange holidays.
NEWEST_DAYS = 10

_DOCS = "https://help.data.nasdaq.com/article/490-is-there-a-rate-limit-or-speed-limit-for-api-usage, autumn 2026"
_PATH = "/datatables/WIKI/PRICES.json"

facts = Facts(
    name="nasdaq_data_link",
    title="Nasdaq Data Link",
    base_url="https://data.nasdaq.com/api/v3",
    docs_url="https://docs.data.nasdaq.com/docs/in-depth-usage-1",
    terms_url="https://data.nasdaq.com/terms",
    datasets=("bars", "observations"),
    intervals={"1d": "1d"},
    page_rows=PAGE_ROWS,
    # Our choice: half a day past UTC midnight is past every US session's end and the same evening's files.
    settle_s=12 * 3600.0,
    limits=(
        # "300 calls per 10 seconds, 2,000 calls per 10 minutes and a limit of 50,000 calls per day" with a free key;
        # without one 20 per 10 minutes and 50 a day (keyless_limits). Source: below.
        Limit(300, 10, _DOCS),
        Limit(2_000, 600, _DOCS),
        Limit(50_000, 86_400, _DOCS),
    ),
    keyless_limits=(Limit(20, 600, _DOCS), Limit(50, 86_400, _DOCS)),
    # "5,000 calls per 10 minutes and 720,000 calls per day" with a premium subscription. Source: below; unconfirmed.
    plans={"premium": (Limit(5_000, 600, _DOCS), Limit(720_000, 86_400, _DOCS))},
    # The header form keeps it out of URLs. Source: data-link-python connection.py, api_config.py, 1.0.4.
    key=KeySpec(
        env="NASDAQ_DATA_LINK_API_KEY",
        place="header",
        name="x-api-token",
        required=False,
        where_to_get="https://data.nasdaq.com/account/profile",
    ),
    batch={"bars": TICKERS, "observations": 1},
    trading="XNYS",
    aliases=("quandl",),
)

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
#: In a JSON string the quotes would be escaped, so this can only be a member's name.
_CURSOR = re.compile(rb'"next_cursor_id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)')
#: Whose limit an error means: the text says; the code does where the text is silent.
#: Source: https://docs.data.nasdaq.com/docs/error-codes, 2026-07-22 (01-03 daily, 04-05 ten minutes, 06-08 too large).
_SPANS = re.compile(r"\bper day\b|\bdaily\b|second|minute|speed", re.IGNORECASE)
_DAILY_CODES, _MINUTES_CODES = ("QELx01", "QELx02", "QELx03"), ("QELx04", "QELx05")
_TOO_LARGE_CODES = ("QELx06", "QELx07", "QELx08")
#: The windows of the limits above, for an answer without Retry-After.
_MINUTES_WAIT_S, _SHORT_WAIT_S = 600.0, 10.0

#: The letter after "QE" names the family. Source: https://docs.data.nasdaq.com/docs/error-codes, 2026-07-22.
_FAMILIES: dict[str, tuple[type[TickfarmError], str]] = {
    "M": (TryAgain, "its side failed"),
    "X": (TryAgain, "its service is not available now"),
    "A": (KeyRefused, "the API key was refused; set NASDAQ_DATA_LINK_API_KEY to a valid one"),
    "P": (FixRequest, "the API key in NASDAQ_DATA_LINK_API_KEY has no subscription to it"),
    "S": (FixRequest, "the request is malformed or names a column the table does not have"),
    "C": (FixRequest, "the table or code does not exist"),
    "L": (FixRequest, "the answer or the query would be too large; ask for fewer tickers or days"),
}


def build(query: Query) -> list[Request]:
    """Return the first page of each batch of tickers; `next_page` follows the cursor from there. Series have one page.

    A query of bars without `start` reaches back `NEWEST_DAYS` from its `end`: a table can't be asked for its newest.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.dataset == "observations":
        return series.build(query)
    if query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    start, end = query.start, query.end
    if end is None:
        raise FixRequest(f"{facts.name}: a query needs an end; the table can't be asked for its newest rows")
    start = end - timedelta(days=NEWEST_DAYS) if start is None else start
    natives = {_ticker(instrument): instrument for instrument in query.instruments}
    fixed = (
        ("date.gte", first_date(start).isoformat()),
        ("date.lt", first_date(end).isoformat()),
        ("qopts.columns", ",".join(_NEEDED)),
        ("qopts.per_page", str(PAGE_ROWS)),
    )
    tickers = list(natives)
    return [
        Request(_PATH, (("ticker", ",".join(some)), *fixed), (), tuple(natives[t] for t in some), 1, start, end)
        for some in (tickers[i : i + TICKERS] for i in range(0, len(tickers), TICKERS))
    ]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the same request with the answer's cursor, read without decoding the rows, or None after the last."""
    cursor = _cursor(answer)
    if cursor is None or cursor == dict(request.params).get("qopts.cursor_id"):
        return None  # a cursor that stands still would loop for ever; `parse` reports it
    kept = tuple(p for p in request.params if p[0] != "qopts.cursor_id")
    params = (*kept, ("qopts.cursor_id", cursor))
    return Request(
        request.path, params, request.headers, request.instruments, request.weight, request.start, request.end
    )


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then a `quandl_error`, a body cut short, a column that is not."""
    code, text = _quandl_error(answer)
    by_status = answers.limit_or_outage(facts.name, answer)
    if code.startswith("QEL") and code not in _TOO_LARGE_CODES and not isinstance(by_status, TryAgain):
        return _limit(code, text, answer)
    if answer.status == 403 and not code:
        # "HTML pages (CDN bot check, 403) also happen": a moment of the CDN's, not a verdict on the key.
        said = f"{facts.name}: HTTP 403 without an error code, as its CDN's bot check sends"
        return TryAgain(said, provider=facts.name, status=403)
    return (
        by_status
        or (_coded_error(code, answer) if code else None)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
        or series.unknown_column(answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order, dates as sent. Raises BadData if table, columns or cursor are missing."""
    if query.dataset == "observations":
        return series.parse(query, answer)
    page = answers.load(facts.name, answer, numbers_as_text=True)
    try:
        rows, names = page["datatable"]["data"], [column["name"] for column in page["datatable"]["columns"]]
        cursor = page["meta"]["next_cursor_id"]
        places = {name: names.index(name) for name in _NEEDED}
        if type(rows) is not list:
            raise TypeError("data is no list")
    except (KeyError, TypeError, ValueError) as cause:
        raise _bad_page(f"expected datatable.data, its columns {', '.join(_NEEDED)} and meta", answer) from cause
    if cursor is not None and cursor == dict(answer.request.params).get("qopts.cursor_id"):
        raise _bad_page("its next_cursor_id is the one it was asked with, so the rows after it can't be read", answer)
    tickers = {_ticker(instrument): instrument for instrument in answer.request.instruments or query.instruments}
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


def catalogue(text: str = "") -> Request | None:
    """Return None: a table's tickers can only be read out of its rows, and no search for datasets is documented."""
    return None


def listed(answer: Answer) -> list[str]:
    """Return nothing, as there is no catalogue."""
    return []


def native_symbol(instrument: str) -> str:
    """Return a share's ticker (`BRK.B` is `BRK_B`), or `database/code/column`. Raises FixRequest for a pair."""
    return series.native_of(instrument) if series.is_series(validate(instrument)) else _ticker(instrument)


def instrument_of(native: str) -> str | None:
    """Return the share of a ticker (`BRK_B` is `BRK.B`), or the instrument of `database/code/column`."""
    if "/" in native:
        return series.instrument_of(native)
    name = native.replace("_", ".")
    is_share = is_instrument(name) and not is_pair(name) and not series.is_series(name)
    return name if is_share and "." not in native else None


def _ticker(instrument: str) -> str:
    if is_pair(validate(instrument)) or series.is_series(instrument):
        said = f"{facts.name} has bars of shares only, like AAPL or BRK.B; found {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return instrument.replace(".", "_")


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
    said = f"{facts.name} sent a page that can't be used: {expected}"
    return BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)


def _quandl_error(answer: Answer) -> tuple[str, str]:
    """Return code and text of `{"quandl_error":{"code":"QELx01","message":".."}}`, ("", "") if there is none."""
    error = answers.error_object(answer, b'"quandl_error"').get("quandl_error")
    if not isinstance(error, dict):
        return "", ""
    code = str(error.get("code"))
    return code if re.fullmatch(r"QE[A-Z]x\d\d", code) else "QE?", str(error.get("message"))


def _limit(code: str, text: str, answer: Answer) -> SlowDown:
    """Return the error for a QELx..: a daily one names no wait, since when the day turns is the quota's business."""
    spans = " ".join(_SPANS.findall(text)).lower()
    wait: float | None = None
    if "day" in spans or "daily" in spans or (not spans and code in _DAILY_CODES):
        said = "the daily limit is spent; it opens again the next day"
    else:
        said, wait = "too many calls at once", answers.retry_after_s(answer.headers)
        if wait is None:
            slow = "minute" in spans or (not spans and code in _MINUTES_CODES)
            wait = _MINUTES_WAIT_S if slow else _SHORT_WAIT_S
    message = f"{facts.name} error {code}: {said}"
    return SlowDown(message, provider=facts.name, status=answer.status, retry_after_s=wait)


def _coded_error(code: str, answer: Answer) -> TickfarmError:
    """Never quotes the provider's text: it may repeat the key."""
    if code[2] == "C" and answer.request.path.startswith(series.FOLDER) and answer.request.instruments:
        return series.unknown(answer)
    kind, advice = _FAMILIES.get(code[2], (FixRequest, "it can't answer the request as asked"))
    message = f"{facts.name} error {code}: {advice}"
    return kind(message, provider=facts.name, status=answer.status, instrument=answers.only_instrument(answer))
