"""FRED (Federal Reserve Bank of St. Louis): observations of economic series, every revision a row of its own.

A row's `vintage` is its `realtime_start`, the day (of US Central time) on which this value was published. FRED cuts a
row's real-time period to the one that is asked for, so `realtime_start` is a vintage only where it lies after the
asked one: a window asks from the beginning of time, a poll drops what was known before its period.

Instruments are series ids (`UNRATE`, `DGS10`); a dot stands for the underscore of the few ids that have one. Ids with
hyphens can't be spelled, since a hyphen means a pair.

Deliberately not here: units and frequencies other than the series' own, the keyless CSV graph (it has no vintages),
the v2 bulk API. Invariant: a value is the text that was sent, `.` is a missing value that is kept as None.

Sources, read 2026-11-25: https://fred.stlouisfed.org/docs/api/fred/series_observations.html, called "docs";
https://github.com/mortada/fredapi issues 48, 52 and 69, called "fredapi".
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from ingest.errors import BadData, FixRequest, SlowDown, TickfarmError, UnknownName
from ingest.market.records import Parsed
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.market.times import first_date
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.fred_parts import errors, real_time
from ingest.wire import Answer, KeySpec, Limit, Request

#: Rows a page at most, and FRED's default. Source: docs, `limit`. Read at each `build`, so that a test can lower it.
PAGE_ROWS = 100_000
#: A poll asks what was published in the last 400 days, so that a series of one value a year has one in it ..
POLL_PUBLISHED_DAYS = 400
#: .. about the last six years: annual revisions of prices and jobs reach back five. Older ones need a window.
POLL_OBSERVED_DAYS = 6 * 366

_PATH, _SEARCH_PATH = "/series/observations", "/series/search"
_JSON = ("file_type", "json")  # the default is XML

facts = Facts(
    name="fred",
    title="FRED",
    base_url="https://api.stlouisfed.org/fred",
    docs_url="https://fred.stlouisfed.org/docs/api/fred/",
    terms_url="https://fred.stlouisfed.org/docs/api/terms_of_use.html",
    datasets=("observations",),
    intervals={},
    page_rows=PAGE_ROWS,
    settle_s=0.0,
    # "120 requests per minute" and key.
    limits=(Limit(120, 60, "https://github.com/sboysel/fredr/blob/master/NEWS.md, autumn 2026"),),
    key=KeySpec(
        env="FRED_API_KEY",
        place="query",
        name="api_key",
        required=True,
        where_to_get="https://fredaccount.stlouisfed.org/apikeys",
    ),
    batch={"observations": 1},
)

_ROW_SHAPE = "expected an object with date, realtime_start and value as texts"
_HEAD = re.compile(rb'"(count|offset|limit)"\s*:\s*(\d{1,9})\b')
_ROWS_BEGIN = re.compile(rb'"observations"\s*:\s*\[')


def build(query: Query) -> list[Request]:
    """Return one request for each series; `next_page` does the rest. None for a window without a midnight in it.

    A window asks for every vintage of its dates. A query without `start` asks for what was published lately. Raises
    FixRequest for a query without an end.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.end is None:
        raise FixRequest("fred: a query needs an end: a window's, or now for the newest", provider=facts.name)
    today, since = query.end.date(), real_time.EARLIEST
    if query.start is None:
        observed = [("observation_start", (today - timedelta(days=POLL_OBSERVED_DAYS)).isoformat())]
        since = (today - timedelta(days=POLL_PUBLISHED_DAYS)).isoformat()
    else:
        first, last = first_date(query.start), first_date(query.end) - timedelta(days=1)
        if first > last:
            return []
        observed = [("observation_start", first.isoformat()), ("observation_end", last.isoformat())]
    span = (None, None) if query.start is None else (query.start, query.end)
    period = (("realtime_start", since), ("realtime_end", real_time.LATEST))
    paging = (("sort_order", "asc"), ("limit", str(PAGE_ROWS)), ("offset", "0"))
    return [
        Request(_PATH, (("series_id", native), _JSON, *observed, *period, *paging), (), (instrument,), 1, *span)
        for native, instrument in {native_symbol(one): one for one in query.instruments}.items()
    ]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the rows after this page's, then for the next step of real time; None after the last.

    Real time is asked for in steps once FRED has said that it holds too many vintages: that costs daily series one more
    request, and those of months and quarters take one only. A series without an archive is asked for without real time.
    """
    if answer.status != 200:
        return real_time.instead(request, answer)
    head = _head(answer)
    if head is None or head["offset"] != _offset(request):
        return None  # `parse` says why
    following = head["offset"] + head["limit"]
    if following < head["count"]:
        return real_time.with_params(request, offset=str(following))
    return real_time.next_step(request, answer)


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then its text, then a body cut short.

    Two of its 400s are no errors but say to ask otherwise: `next_page` does, and `parse` finds no rows in them.
    """
    if real_time.instead(answer.request, answer) is not None:
        return None
    slow = answers.limit_or_outage(facts.name, answer)
    if isinstance(slow, SlowDown) and slow.retry_after_s is None and "retry-after" not in answer.headers:
        slow.retry_after_s = errors.LIMIT_WAIT_S
    return (
        slow
        or errors.locked(answer)
        or errors.told(errors.text_of(answer), answer)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order: by date, then by vintage. Raises BadData where paging can't be trusted.

    Rows that were known at the beginning of the asked real time are dropped unless that is the beginning of all time:
    when they were published is not told, and the step before, or an earlier poll, has them.
    """
    instrument = (answer.request.instruments or query.instruments)[0]
    if real_time.instead(answer.request, answer) is not None:
        return Parsed({name: [] for name in ("instrument", "ts", "vintage", "value")}, "date")
    page = answers.load(facts.name, answer, numbers_as_text=True)
    observations = page.get("observations") if type(page) is dict else None
    if type(observations) is not list:
        raise _bad_page("a list of observations", answer)
    head = _head(answer)
    if head is None or head["limit"] == 0:
        raise _bad_page("count, offset and limit as whole numbers", answer)
    if head["offset"] != _offset(answer.request):
        raise _bad_page("the offset that was asked for", answer)
    rows, rejects = answers.sound_rows(observations, _observation, _ROW_SHAPE, instrument)
    since = dict(answer.request.params).get("realtime_start")
    if since is not None and since != real_time.EARLIEST:
        rows = [row for row in rows if row[1] != since]
    days, vintages, values = zip(*rows, strict=True) if rows else ((), (), ())
    columns: dict[str, list[Any]] = {
        "instrument": [instrument] * len(rows),
        "ts": list(days),
        # Without real time every row begins today: that is when it was asked for, not when it was published.
        "vintage": list(vintages) if since is not None else [None] * len(rows),
        "value": list(values),
    }
    return Parsed(columns, "date", rejects)


def catalogue(text: str = "") -> Request | None:
    """Return the search for `text`, best match first; None without one, as 800,000 series can't be listed."""
    params = (("search_text", text), _JSON, ("limit", "1000"))
    return Request(_SEARCH_PATH, params) if text else None


def listed(answer: Answer) -> list[str]:
    """Return the series of a search that our grammar can spell. The key really is `seriess`."""
    page = answers.load(facts.name, answer)
    series = page.get("seriess") if type(page) is dict else None
    if type(series) is not list or any(type(one) is not dict or type(one.get("id")) is not str for one in series):
        raise _bad_page("seriess with an id each", answer)
    return [name for one in series if (name := instrument_of(one["id"])) is not None]


def native_symbol(instrument: str) -> str:
    """Return the series id. Raises FixRequest for a pair."""
    if is_pair(validate(instrument)):
        said = f"fred has single names only, like UNRATE; found {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return instrument.replace(".", "_")


def instrument_of(native: str) -> str | None:
    """Return the instrument of a series id, None for one with a hyphen."""
    name = native.replace("_", ".")
    return name if "." not in native and is_instrument(name) and not is_pair(name) else None


def _observation(row: Any) -> tuple[str, str, str | None] | None:
    if type(row) is not dict:
        return None
    day, since, value = row.get("date"), row.get("realtime_start"), row.get("value")
    if type(day) is not str or type(since) is not str or type(value) is not str:
        return None
    return day, since, None if value == "." else value


def _head(answer: Answer) -> dict[str, int] | None:
    """Return count, offset and limit, read without decoding the rows; None where one is missing."""
    rows = _ROWS_BEGIN.search(answer.body)
    if rows is None:
        return None
    around = answer.body[: rows.start()] + answer.body[max(rows.end(), answer.body.rfind(b"]")) :]
    head = {name.decode(): int(number) for name, number in _HEAD.findall(around)}
    return head if len(head) == 3 else None


def _offset(request: Request) -> int:
    return int(dict(request.params).get("offset", "0"))


def _bad_page(expected: str, answer: Answer) -> BadData:
    said = f"fred sent a page that can't be used: expected {expected}"
    return BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)
