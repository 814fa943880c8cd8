"""Frankfurter: the European Central Bank's daily reference rates, as observations; keyless, can be hosted by oneself.

An instrument is a pair, `EUR-USD`: what a euro is in dollars. Rates against the euro are the bank's own digits; those
of another base are crosses that the service rounds, the larger the fewer decimals. A rate is of the `date` in the
answer, never of the one asked for: a weekend is answered with the Friday before it, and a window's start is moved back
to a business day.

Deliberately not here: the v2 API, which mixes other banks' rates in; amounts and conversion; bars, since a reference
rate is no price that anything was traded at. Invariant: a rate keeps the digits it was sent with.

Sources, read autumn 2026: https://frankfurter.dev/v1, called "docs"; https://github.com/lineofflight/frankfurter 2.3
(lib/versions/v1, lib/rate_scopes.rb, spec), called "source".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, TickfarmError, TryAgain, UnknownName
from ingest.market.records import Parsed, Reject
from ingest.market.symbols import is_instrument, is_pair, legs, validate
from ingest.market.times import first_date
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.wire import Answer, Limit, Request

#: Ranges of over 90 days are thinned to a point a week in some versions (unconfirmed), so a window is asked for by
#: quarters, less the days by which its start may be moved back.
CHUNK_DAYS = 85
#: Longer than the bank is ever closed, so that a missed poll heals.
NEWEST_DAYS = 10
#: "Since 1999-01-04". Source: docs.
FIRST_DAY = date(1999, 1, 4)

_DOCS = "https://frankfurter.dev/docs, autumn 2026"
#: The bank has had a rate of these on each of its business days since then.
_ALWAYS = frozenset(
    [
        "AUD",
        "CAD",
        "CHF",
        "CZK",
        "DKK",
        "EUR",
        "GBP",
        "HKD",
        "HUF",
        "JPY",
        "KRW",
        "NOK",
        "NZD",
        "PLN",
        "SEK",
        "SGD",
        "USD",
        "ZAR",
    ]
)
#: Of these it has one now, or had one for some years: to ask for another time is no mistake.
_AT_TIMES = frozenset(
    ["BGN", "BRL", "CNY", "IDR", "ILS", "INR", "ISK", "MXN", "MYR", "PHP", "RON", "THB", "TRY"]
) | frozenset(["CYP", "EEK", "HRK", "LTL", "LVL", "MTL", "ROL", "RUB", "SIT", "SKK", "TRL"])
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NATIVE = re.compile(r"([A-Z]{3})/([A-Z]{3})", re.ASCII)
_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_ROW_SHAPE = "expected a number under an asked currency, under an ISO date"

facts = Facts(
    name="frankfurter",
    title="Frankfurter",
    base_url="https://api.frankfurter.dev/v1",
    docs_url="https://frankfurter.dev/v1",
    terms_url="https://frankfurter.dev/docs",
    datasets=("observations",),
    intervals={},
    page_rows=CHUNK_DAYS,
    # Our choice: rates appear "around 16:00 CET", and "data returned for today is not stable". Source: docs.
    settle_s=12 * 3600.0,
    # "There are no quotas. Requests are rate-limited to prevent abuse", it does not say how much: our politeness.
    limits=(Limit(1, 1, _DOCS),),
    # All currencies of one base come in one answer.
    batch={"observations": 40},
    trading="ecb",
)


def build(query: Query) -> list[Request]:
    """Return a request for each base currency, and in a window for each quarter of it.

    A query without `start` reaches back `NEWEST_DAYS` from its `end`, or asks for the latest where it has none.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.start is not None and query.end is None:
        raise FixRequest(f"{facts.name}: a window needs an end as well as a start", provider=facts.name)
    bases: dict[str, list[str]] = {}
    for name in dict.fromkeys(query.instruments):
        native_symbol(name)
        bases.setdefault(legs(name)[0], []).append(name)
    return [request for base, names in bases.items() for request in _asked(query, base, tuple(names))]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return None: an answer is whole."""
    return None


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer. A 404 is none where all its currencies exist, but maybe not at that time."""
    by_status = answers.limit_or_outage(facts.name, answer)
    if by_status is not None:
        return by_status
    if answer.status == 404 and answers.error_object(answer, b'"message"'):
        return _not_found(answer)
    return answers.refusal(facts.name, answer) or answers.not_json(facts.name, answer)


def parse(query: Query, answer: Answer) -> Parsed:
    """Return a row for each date and asked currency that has a rate. Rows before the window's start are cut.

    Raises BadData for another base or amount than asked for: its rates would be wrong by a factor.
    """
    names: dict[str, list[Any]] = {"instrument": [], "ts": [], "value": []}
    if answer.status == 404:
        return Parsed(names, "date")
    page = answers.load(facts.name, answer, numbers_as_text=True)
    asked = {legs(name)[1]: name for name in answer.request.instruments or query.instruments}
    start = None if answer.request.start is None else first_date(answer.request.start).isoformat()
    rejects: list[Reject] = []
    for day, rates in _days(page, answer, legs(next(iter(asked.values())))[0]):
        if type(rates) is not dict or not _DATE.fullmatch(day):
            rejects.append(answers.reject({day: rates}, rule="wrong_shape", reason=_ROW_SHAPE))
            continue
        for code, rate in rates.items() if start is None or day >= start else ():
            if code not in asked or type(rate) not in answers.TEXT_OR_NULL:
                rule = "wrong_shape" if code in asked else "unknown_symbol"
                row, about = {day: {code: rate}}, asked.get(code)
                rejects.append(answers.reject(row, rule=rule, reason=_ROW_SHAPE, instrument=about))
            else:
                for column, cell in zip(names, (asked[code], day, rate), strict=True):
                    names[column].append(cell)
    return Parsed(names, "date", tuple(rejects))


def catalogue(text: str = "") -> Request | None:
    """Return the request for all currencies."""
    return Request("/currencies")


def listed(answer: Answer) -> list[str]:
    """Return every pair of the currencies that there are now: any of them may be the base."""
    page = answers.load(facts.name, answer)
    codes = list(page) if type(page) is dict and type(page.get("EUR")) is str else []
    if not codes:
        raise _bad_page("currencies by their code, the euro among them", answer)
    codes = [code for code in codes if _CODE.fullmatch(code)]
    return [f"{base}-{code}" for base in codes for code in codes if base != code]


def native_symbol(instrument: str) -> str:
    """Return `EUR/USD`, which is asked for as `base` and `symbols`. Raises FixRequest for all but two currencies."""
    name = validate(instrument)
    if not is_pair(name) or not all(map(_CODE.fullmatch, legs(name))) or len(set(legs(name))) == 1:
        said = f"{facts.name} has pairs of two currencies, like EUR-USD; found {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return name.replace("-", "/")


def instrument_of(native: str) -> str | None:
    """Return the pair of `EUR/USD`."""
    found = _NATIVE.fullmatch(native)
    name = f"{found[1]}-{found[2]}" if found and found[1] != found[2] else None
    return name if name is not None and is_instrument(name) else None


def _asked(query: Query, base: str, names: tuple[str, ...]) -> list[Request]:
    params = (("base", base), ("symbols", ",".join(legs(name)[1] for name in names)))
    if query.end is None:
        return [Request("/latest", params, (), names)]
    if query.start is None:
        first = query.end.date() - timedelta(days=NEWEST_DAYS)
        return [Request(f"/{first}..{query.end.date()}", params, (), names)]
    return [
        Request(f"/{first_date(start)}..{_last_date(start, end)}", params, (), names, 1, start, end)
        for start, end in _chunks(query.start, query.end)
    ]


def _chunks(start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    width = timedelta(days=CHUNK_DAYS)
    count = max(1, -((start - end) // width))
    return [(start + i * width, min(start + (i + 1) * width, end)) for i in range(count)]


def _last_date(start: datetime, end: datetime) -> date:
    """Return the last date whose midnight lies before the end; the first, where none of the window's does."""
    return max(first_date(start), first_date(end) - timedelta(days=1))


def _days(page: Any, answer: Answer, base: str) -> Sequence[tuple[str, Any]]:
    """Return the rates by date, of one day or a range. Raises BadData."""
    rates = page.get("rates") if type(page) is dict else None
    if type(rates) is not dict or page.get("base") != base or _is_other_amount(page.get("amount", "1.0")):
        raise _bad_page("rates of an amount of 1 of the base that was asked for", answer)
    if "date" not in page:
        start, end = answer.request.start, answer.request.end
        last = None if start is None or end is None or first_date(start) < first_date(end) else first_date(end)
        return [(day, one) for day, one in rates.items() if last is None or day < last.isoformat()]
    if type(page["date"]) is not str or not _DATE.fullmatch(page["date"]):
        raise _bad_page("a date", answer)
    return [(page["date"], rates)]


def _is_other_amount(amount: Any) -> bool:
    return type(amount) is not str or re.fullmatch(r"1(\.0*)?", amount) is None


def _not_found(answer: Answer) -> TickfarmError | None:
    """Return what "not found" means: the answer for an unknown currency, and for a time without any rate."""
    names = answer.request.instruments
    codes = {code for name in names for code in legs(name)}
    unknown = codes - _ALWAYS - _AT_TIMES
    if unknown:
        error: FixRequest = FixRequest(
            f"{facts.name} has no rates of {', '.join(sorted(unknown))}", provider=facts.name
        )
        if len(names) == 1:
            error = UnknownName("instrument", names[0], (), provider=facts.name)
        error.status, error.instrument = answer.status, answers.only_instrument(answer)
        return error
    start, today = answer.request.start, answer.received_at.date()
    is_then = start is None or FIRST_DAY <= first_date(start) <= today
    if is_then and any(set(legs(name)) <= _ALWAYS for name in names):
        said = f"{facts.name} has no rates of a time that has them: its database may not be filled yet"
        return TryAgain(said, provider=facts.name, status=answer.status)
    return None


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"{facts.name} sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)
