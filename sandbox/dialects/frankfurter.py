"""Frankfurter's frozen v1 API: latest, one day, a range of days, currencies; over synthetic reference rates.

Deliberately not here: v2. Invariant: a day without rates is answered with the business day before it, under that day's
own date. Unconfirmed, hence dials: how many calls are too many (`calls_per_minute`), and whether long ranges are
thinned to a day a week (`thinned_after_days`, 0: never).

Sources, read autumn 2026: https://frankfurter.dev/v1; https://github.com/lineofflight/frankfurter (specifications in
spec/versions/v1 and spec/edge_cases_spec.rb, its route table, and what it serves as v1/openapi.json).
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from sandbox.allowance import SlidingWindow
from sandbox.contract import Answer, ErrorCase, Example, Page, Request
from sandbox.frankfurter_rates import CURRENCIES, FIRST_DAY, ReferenceRates, cross, is_business_day, newest_day

_JSON = "application/json; charset=utf-8"
_PATH = re.compile(r"/(?:(latest|current|currencies)|(\d{4}-\d\d-\d\d)(\.\.(\d{4}-\d\d-\d\d)?)?)")
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
#: A day is carried forward for so long.
_CARRIED = timedelta(days=14)
_DOCS = "https://frankfurter.dev/v1, autumn 2026"
_SPEC = "https://github.com/lineofflight/frankfurter spec/edge_cases_spec.rb, autumn 2026"

_YEAR = Example("observations", "EUR-USD", "", "2024-12-28T00:00:00Z", "2026-01-03T00:00:00Z")
EXAMPLES = (
    _YEAR,
    Example("observations", "USD-JPY", "", "2025-04-12T00:00:00Z", "2025-06-01T00:00:00Z"),
    Example("observations", "GBP-EUR", "", "1998-12-01T00:00:00Z", "1999-03-01T00:00:00Z"),
    Example("observations", "EUR-RUB", "", "2021-11-01T00:00:00Z", "2022-03-01T00:00:00Z"),
    Example("observations", "EUR-IDR", "", "2024-05-04T00:00:00Z", "2024-05-06T00:00:00Z"),
)
ERROR_CASES = (
    ErrorCase("its own failure", _YEAR, "again", _DOCS, {"fault": "status", "args": {"status": 503}}),
    ErrorCase("too many calls", _YEAR, "wait", _DOCS, {"fault": "status", "args": {"status": 429, "body": ""}}),
    ErrorCase(
        "a currency that is none", Example("observations", "EUR-UAH", "", _YEAR.start, _YEAR.end), "unknown", _SPEC
    ),
    ErrorCase(
        "a pair it takes for none", _YEAR, "request", _SPEC,
        {"fault": "status", "args": {"status": 422, "body": '{"message":"bad currency pair"}'}},
    ),
    ErrorCase(
        "a currency that was gone",
        Example("observations", "EUR-RUB", "", "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"),
        "nothing", _DOCS,
    ),
    ErrorCase(
        "a time before the euro",
        Example("observations", "EUR-USD", "", "1998-01-01T00:00:00Z", "1998-02-01T00:00:00Z"),
        "nothing", _SPEC,
    ),
)  # fmt: skip


def open_dialect(seed: int) -> "Frankfurter":
    return Frankfurter(seed)


class RefusalError(Exception):
    """A request that is refused, with the status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Frankfurter:
    """One instance with all the bank's rates."""

    error_body = b'{"message":"internal server error"}'

    def __init__(self, seed: int) -> None:
        self.limits = {"calls_per_minute": 600, "thinned_after_days": 0}
        self._rates = ReferenceRates(seed)
        self.forget_spending()

    def forget_spending(self) -> None:
        self._minute = SlidingWindow(60)

    def answer(self, request: Request) -> Answer:
        if self._minute.room(request.client, self.limits["calls_per_minute"], now_s=request.now_s) <= 0:
            return Answer(429, b"error code: 1015", content_type="text/plain")
        self._minute.spend(request.client, now_s=request.now_s)
        match = _PATH.fullmatch(request.path)
        if match is None:
            return _said(404, {"status": 404, "message": "not found"})
        try:
            if match[1] == "currencies":
                return _said(200, self._currencies(request.now_s))
            query = _Query(request.query)
            today = datetime.fromtimestamp(request.now_s, UTC).date()
            if match[3] is None:
                return _said(200, self._one_day(today if match[1] else _date(match[2]), query, request.now_s))
            last = _date(match[4]) if match[4] else today
            return _said(200, self._range(_date(match[2]), last, query, request.now_s))
        except RefusalError as refusal:
            return _said(refusal.status, {"message": str(refusal)})

    def page(self, body: bytes) -> Page | None:
        """Return None: days are objects by date."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        return {code: {"first_year": since, "until_year": until} for code, (*_, since, until) in CURRENCIES.items()}

    def examples(self) -> Sequence[Example]:
        return EXAMPLES

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        base, code = example.instrument.split("-")
        first, end = (date.fromisoformat(text[:10]) for text in (example.start, example.end))
        found: list[dict[str, str | None]] = []
        for day in _dates(first, min(end - _DAY, newest_day(now_s))):
            rate = cross(self._rates.of_day(day), base, code)
            if rate is not None:
                found.append({"ts": f"{day}T00:00:00Z", "value": json.dumps(rate)})
        return found

    def error_cases(self) -> Sequence[ErrorCase]:
        return ERROR_CASES

    def _currencies(self, now_s: float) -> dict[str, str]:
        codes = sorted([*self._rates.of_day(newest_day(now_s)), "EUR"])
        return {code: CURRENCIES[code][0] if code in CURRENCIES else "Euro" for code in codes}

    def _one_day(self, day: date, query: "_Query", now_s: float) -> dict[str, object]:
        """Answer with the last day that has rates, not more than two weeks before; a day to come with the newest."""
        last = min(day, newest_day(now_s))
        for one in reversed(_dates(last - _CARRIED, last)):
            rates = query.rates(self._rates.of_day(one))
            if rates:
                return {"amount": query.amount, "base": query.base, "date": one.isoformat(), "rates": rates}
        raise RefusalError(404, "not found")

    def _range(self, first: date, last: date, query: "_Query", now_s: float) -> dict[str, object]:
        """Answer with the days that have rates, from the business day on or before the first."""
        if first > datetime.fromtimestamp(now_s, UTC).date():
            raise RefusalError(404, "not found")
        while first > FIRST_DAY and not is_business_day(first):
            first -= _DAY
        first = max(min(first, newest_day(now_s)), FIRST_DAY)
        days = _dates(first, min(last, newest_day(now_s)))
        thinned = self.limits["thinned_after_days"]
        if thinned and last - first > timedelta(days=thinned):
            days = [day for day in days if (day - first) % _WEEK == timedelta()]
        found = {day.isoformat(): rates for day in days if (rates := query.rates(self._rates.of_day(day)))}
        if not found:
            raise RefusalError(404, "not found")
        bounds = {"start_date": next(iter(found)), "end_date": list(found)[-1]}
        return {"amount": query.amount, "base": query.base} | bounds | {"rates": found}


class _Query:
    """What is asked of each day: base, symbols, amount; `from` and `to` are their older names."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self.base = query.get("from", query.get("base", "EUR")).upper()
        symbols = query.get("to", query.get("symbols"))
        self.symbols = symbols.upper().split(",") if symbols is not None else None
        if self.symbols == [self.base]:
            raise RefusalError(422, "bad currency pair")
        text = query.get("amount", "1.0")
        if not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text) or float(text) <= 0:
            raise RefusalError(422, "invalid amount")
        self.amount = float(text)

    def rates(self, of_day: dict[str, float]) -> dict[str, float]:
        """Return the day's rates by code in the order of codes; currencies that have none are left out."""
        codes = sorted([*of_day, "EUR"]) if self.symbols is None else sorted(set(self.symbols))
        found = {code: cross(of_day, self.base, code) for code in codes if code != self.base}
        return {
            code: rate if self.amount == 1 else rate * self.amount for code, rate in found.items() if rate is not None
        }


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as cause:
        raise RefusalError(422, "invalid date") from cause


def _dates(first: date, last: date) -> list[date]:
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _said(status: int, body: Mapping[str, object]) -> Answer:
    return Answer(status, json.dumps(body, separators=(",", ":")).encode(), content_type=_JSON)
