"""Nasdaq Data Link: the tables WIKI/PRICES, with the 12,154 real daily bars of the wheel `bokeh_sampledata`, and
NDAQ/RTAT10 (synthetic), and time-series datasets (`nasdaq_series.py`), some of them real.

Deliberately not here: bulk export; its parameter answers 422. The full table has seven
columns more (ex-dividend, split_ratio and the other adjusted ones) and some 3,000 tickers; the wheel lacks them.
Invariant: every number is served as the very text it has in the file; none passes through a float.
Source: Nasdaq/data-link-python 1.0.4 and its documentation; the codes' numbers are partly unconfirmed.
"""

import json
from collections.abc import Callable, Sequence

from sandbox.allowance import DailyCount, SlidingWindow
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.nasdaq_cases import ERROR_CASES, EXAMPLES, rows_of
from sandbox.nasdaq_retail import retail_table
from sandbox.nasdaq_series import NasdaqSeries
from sandbox.nasdaq_table import MAX_PER_PAGE, BadQueryError
from sandbox.wiki_pages import table_page
from sandbox.wiki_prices import load_table

SANDBOX_KEY = "sandbox-key"
_TABLES = {"/datatables/WIKI/PRICES.json": load_table, "/datatables/NDAQ/RTAT10.json": retail_table}
_JSON = "application/json; charset=utf-8"
_TEN_MINUTES_S = 600


def open_dialect(seed: int) -> "NasdaqDataLink":
    return NasdaqDataLink(seed)


class NasdaqDataLink:
    """Tables by column filters and cursor, datasets by dates. The seed changes nothing.

    The dial `rows_per_page` is the highest page of a table: lower it, and a short window has several.
    """

    error_body = (
        b'{"quandl_error":{"code":"QEMx01","message":"We have encountered an internal server error. '
        b'Please try again."}}'
    )

    def __init__(self, seed: int) -> None:
        del seed
        # "one concurrent" is long standing too, but unconfirmed: not enforced.
        self.limits = {
            "anonymous_per_day": 50,
            "keyed_per_10_s": 300,
            "keyed_per_10_minutes": 2_000,
            "keyed_per_day": 50_000,
            "rows_per_page": MAX_PER_PAGE,
        }
        self._table = load_table()
        self._series = NasdaqSeries(self._table)
        self.forget_spending()

    def forget_spending(self) -> None:
        self._anonymous_day = DailyCount()
        self._keyed_day = DailyCount()
        self._keyed_10_s = SlidingWindow(10)
        self._keyed_10_minutes = SlidingWindow(_TEN_MINUTES_S)

    def answer(self, request: Request) -> Answer | LongWork:
        key = request.query.get("api_key") or request.headers.get("x-api-token")
        if key is not None and key != SANDBOX_KEY:
            text = "We could not recognize your API key. Please check your API key and try again."
            return _refuse(400, "QEAx01", text)
        refusal = self._spend_keyed(request) if key else self._spend_anonymous(request)
        if refusal is not None:
            return refusal
        if request.path in _TABLES:
            return _answered(lambda: _TABLES[request.path]().page(request.query, self.limits["rows_per_page"]))
        return lambda: _answered(lambda: self._series.body(request.path, request.query))

    def _spend_anonymous(self, request: Request) -> Answer | None:
        limit = self.limits["anonymous_per_day"]
        if self._anonymous_day.room(request.client, limit, now_s=request.now_s) <= 0:
            text = (
                f"You have exceeded the anonymous user limit of {limit} calls per day. To make more calls today, "
                "please register for a free Nasdaq Data Link account and then include your API key with your requests."
            )
            return _refuse(429, "QELx01", text)
        self._anonymous_day.spend(request.client, now_s=request.now_s)
        return None

    def _spend_keyed(self, request: Request) -> Answer | None:
        spans = (
            (self._keyed_10_s, self.limits["keyed_per_10_s"], "speed limit of {} calls per 10 seconds", "QELx04"),
            (self._keyed_10_minutes, self.limits["keyed_per_10_minutes"], "limit of {} calls per 10 minutes", "QELx05"),
            (self._keyed_day, self.limits["keyed_per_day"], "limit of {} calls per day", "QELx03"),
        )
        for window, limit, text, code in spans:
            if window.room(SANDBOX_KEY, limit, now_s=request.now_s) <= 0:
                return _refuse(429, code, f"You have exceeded the API {text.format(limit)}. Please slow down.")
        for window, _, _, _ in spans:
            window.spend(SANDBOX_KEY, now_s=request.now_s)
        return None

    def page(self, body: bytes) -> Page | None:
        return table_page(body)

    def truth(self) -> dict[str, dict[str, object]]:
        return self._table.truth()

    def examples(self) -> Sequence[Example]:
        return EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return rows_of(self._table, self._series, example)

    def error_cases(self) -> Sequence[ErrorCase]:
        return ERROR_CASES


def _answered(render: Callable[[], bytes | None]) -> Answer:
    try:
        body = render()
    except BadQueryError as bad:
        return _refuse(422, bad.code, str(bad))
    if body is None:
        text = "You have submitted an incorrect Nasdaq Data Link code. Please check your code and try again."
        return _refuse(404, "QECx02", text)
    return Answer(200, body, content_type=_JSON)


def _refuse(status: int, code: str, message: str) -> Answer:
    body = json.dumps({"quandl_error": {"code": code, "message": message}}, separators=(",", ":"))
    return Answer(status, body.encode(), content_type=_JSON)
