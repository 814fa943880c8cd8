"""FRED: observations with their real-time periods, series, vintage dates and search over the sandbox's series.

Deliberately not here: units, frequencies and output types but the default ones and `vintage_dates` (refused, in words
of the sandbox), categories, releases, tags, v2. Invariant: a row's real-time period is cut to the asked one, as FRED
does it, so that a vintage shows only where it lies in it.

Sources, read 2026-11-25: https://fred.stlouisfed.org/docs/api/fred (series_observations.html, series_vintagedates.html,
series_search.html, errors.html); not documented there but seen by others: at most 2,000 vintages an answer
(mortada/fredapi 48, 52), "does not exist in ALFRED" for a period before the archive, and no real time after today.
Published is at midnight US Central.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from html import escape
from zoneinfo import ZoneInfo

from sandbox.allowance import SlidingWindow
from sandbox.contract import Answer, ErrorCase, Example, LongWork, Page, Request
from sandbox.fred_cases import ERROR_CASES, examples, rows_of
from sandbox.fred_series import FredMarket, Series

SANDBOX_KEY = "sandbox-key"
EARLIEST, LATEST = date(1776, 7, 4), date(9999, 12, 31)
MAX_VINTAGES = 2_000
MAX_ROWS, MAX_SERIES, MAX_DATES = 100_000, 1_000, 10_000

_CENTRAL = ZoneInfo("America/Chicago")
_NOT_SIMULATED = {"units": "lin", "output_type": "1", "frequency": "", "vintage_dates": ""}
_NOT_ARCHIVED = (
    "The series does not exist in ALFRED but may exist in FRED.  Try setting realtime_start and realtime_end to "
    "today's date or removing the realtime_start and realtime_end variables."
)
_READ_MORE = "Read https://fred.stlouisfed.org/docs/api/api_key.html for more information."
_KEY_FORM = re.compile(r"[0-9a-z]{32}")

Record = dict[str, object]


def open_dialect(seed: int) -> "Fred":
    return Fred(seed)


class RefusalError(Exception):
    """A request that is refused as a bad one."""


class Fred:
    """The v1 API. The dial `observation_rows` is the highest page: 100,000 at FRED, lower so that paging shows.

    With `real_vintages` UNRATE, PAYEMS, INDPRO, GDPC1 and SP500 are the real ones of a few days, where their wheels are
    installed, and else the synthetic ones that go on for ever.
    """

    error_body = b'{"error_code":500,"error_message":"Internal Server Error"}'

    def __init__(self, seed: int) -> None:
        self.limits = {"requests_per_minute": 120, "observation_rows": 1_000, "real_vintages": 0}
        self._markets = (FredMarket(seed), FredMarket(seed, real_first=True))
        self._spent = SlidingWindow(60)
        self._endpoints: dict[str, Callable[[Request], tuple[str, Record, list[Record]]]] = {
            "/series/observations": self._observations,
            "/series/vintagedates": self._vintage_dates,
            "/series/search": self._search,
            "/series": self._series,
        }

    @property
    def _market(self) -> FredMarket:
        return self._markets[bool(self.limits["real_vintages"])]

    def forget_spending(self) -> None:
        self._spent = SlidingWindow(60)

    def answer(self, request: Request) -> Answer | LongWork:
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            return _refuse(request, 404, "Not Found")
        try:
            _check_key(request.query)
        except RefusalError as refusal:
            return _refuse(request, 400, f"Bad Request.  {refusal}")
        if self._spent.room(SANDBOX_KEY, self.limits["requests_per_minute"], now_s=request.now_s) <= 0:
            return _refuse(request, 429, "Too Many Requests.  Exceeded Rate Limit")
        self._spent.spend(SANDBOX_KEY, now_s=request.now_s)

        def render() -> Answer:
            try:
                name, head, records = endpoint(request)
            except RefusalError as refusal:
                return _refuse(request, 400, f"Bad Request.  {refusal}")
            return _rendered(request, name, head, records)

        return render

    def page(self, body: bytes) -> Page | None:
        """Return None: its rows are objects."""
        return None

    def truth(self) -> dict[str, dict[str, object]]:
        """Say when each series begins and since when its vintages are kept; how many there are depends on the day."""
        return {
            one.id: {
                "first": one.begins.isoformat(),
                "frequency": one.frequency,
                "archived_from": one.archived_from and one.archived_from.isoformat(),
            }
            for one in self._market.series.values()
        }

    def examples(self) -> Sequence[Example]:
        return examples(self._market)

    def rows(self, example: Example, *, now_s: float) -> list[dict[str, str | None]]:
        return rows_of(self._market, example, today=_today(now_s))

    def error_cases(self) -> Sequence[ErrorCase]:
        return ERROR_CASES

    def _observations(self, request: Request) -> tuple[str, Record, list[Record]]:
        """Return each value in force at any time of the asked real time, its period cut to that."""
        query, today = request.query, _today(request.now_s)
        for name, default in _NOT_SIMULATED.items():
            if query.get(name, default) != default:
                raise RefusalError(f"Variable {name} is not simulated by the sandbox but for its default.")
        series, since, until = self._checked(query, today)
        first, last = _day(query, "observation_start", EARLIEST), _day(query, "observation_end", LATEST)
        if first > last:
            raise RefusalError("The observation start date is after the observation end date.")
        sort, limit, offset = _paging(query, MAX_ROWS)
        limit = min(limit, self.limits["observation_rows"])
        found: list[Record] = []
        for day, history in self._market.histories(series.id, today):
            if not first <= day <= last:
                continue
            ends = [published - timedelta(days=1) for published, _ in history[1:]] + [LATEST]
            for (begins, value), end in zip(history, ends, strict=True):
                if begins <= until and end >= since:
                    period = _period(max(begins, since), min(end, until))
                    found.append(period | {"date": str(day), "value": value})
        if sort == "desc":
            found.reverse()
        head = _period(since, until) | {
            "observation_start": str(first),
            "observation_end": str(last),
            "units": "lin",
            "output_type": 1,
            "file_type": query.get("file_type", "xml"),
        }
        head |= _place("observation_date", sort, len(found), offset, limit)
        return "observations", head, found[offset : offset + limit]

    def _checked(self, query: Mapping[str, str], today: date) -> tuple[Series, date, date]:
        """Return the series and the real time asked for, which it must have an archive of, but for today."""
        series = self._series_of(query)
        since, until = _real_time(query, today)
        if series.archived_from is None:
            if (since, until) != (today, today):
                raise RefusalError(_NOT_ARCHIVED)
            return series, since, until
        vintages = self._market.vintages(series.id, today)
        if not vintages or until < vintages[0]:
            raise RefusalError(_NOT_ARCHIVED)
        count = sum(since <= one <= until for one in vintages)
        if count > MAX_VINTAGES:
            raise RefusalError(
                f"There are {count} vintage dates in the specified real-time period: {since} to {until}.  "
                f"This exceeds the maximum number of vintage dates allowed for this file type ({MAX_VINTAGES})."
            )
        return series, since, until

    def _vintage_dates(self, request: Request) -> tuple[str, Record, list[Record]]:
        query, today = request.query, _today(request.now_s)
        series = self._series_of(query)
        if series.archived_from is None:
            raise RefusalError(_NOT_ARCHIVED)
        since, until = _day(query, "realtime_start", EARLIEST), _day(query, "realtime_end", LATEST)
        found = [one for one in self._market.vintages(series.id, today) if since <= one <= until]
        sort, limit, offset = _paging(query, MAX_DATES)
        if sort == "desc":
            found.reverse()
        head = _period(since, until) | _place("vintage_date", sort, len(found), offset, limit)
        return "vintage_dates", head, [{"vintage_date": str(one)} for one in found[offset : offset + limit]]

    def _series(self, request: Request) -> tuple[str, Record, list[Record]]:
        today = _today(request.now_s)
        since, until = _real_time(request.query, today)
        return "seriess", _period(since, until), [self._described(self._series_of(request.query), today)]

    def _search(self, request: Request) -> tuple[str, Record, list[Record]]:
        query, today = request.query, _today(request.now_s)
        words = query.get("search_text", "").lower().split()
        if not words:
            raise RefusalError("Variable search_text has not been set.")
        sort, limit, offset = _paging(query, MAX_SERIES, default_sort="desc")
        found = [
            one
            for one in self._market.series.values()
            if all(word in f"{one.id} {one.title}".lower() for word in words)
        ]
        records = [self._described(one, today) for one in found]
        head = _period(today, today) | _place("search_rank", sort, len(found), offset, limit)
        return "seriess", head, records[offset : offset + limit]

    def _series_of(self, query: Mapping[str, str]) -> Series:
        name = query.get("series_id", "").upper()
        if not name:
            raise RefusalError("Variable series_id is not set.")
        if name not in self._market.series:
            raise RefusalError("The series does not exist.")
        return self._market.series[name]

    def _described(self, series: Series, today: date) -> Record:
        known = self._market.histories(series.id, today)
        updated = self._market.vintages(series.id, today)[-1]
        return {
            "id": series.id,
            **_period(today, today),
            "title": series.title,
            "observation_start": str(known[0][0]),
            "observation_end": str(known[-1][0]),
            "frequency": series.frequency,
            "frequency_short": series.frequency[0],
            "units": series.units,
            "last_updated": f"{updated} 07:46:02-05",
            "popularity": 50,
            "notes": series.notes,
        }


def _check_key(query: Mapping[str, str]) -> None:
    key = query.get("api_key")
    if not key:
        raise RefusalError(f"Variable api_key is not set.  {_READ_MORE}")
    if key == SANDBOX_KEY:
        return
    if not _KEY_FORM.fullmatch(key):
        text = "The value for variable api_key is not a 32 character alpha-numeric lower-case string."
        raise RefusalError(f"{text}  {_READ_MORE}")
    raise RefusalError(f"The value for variable api_key is not registered.  {_READ_MORE}")


def _today(now_s: float) -> date:
    return datetime.fromtimestamp(now_s, UTC).astimezone(_CENTRAL).date()


def _real_time(query: Mapping[str, str], today: date) -> tuple[date, date]:
    since, until = _day(query, "realtime_start", today), _day(query, "realtime_end", today)
    for name, day in (("realtime_start", since), ("realtime_end", until)):
        if day > today and day != LATEST:
            raise RefusalError(f"Variable {name} can not be after today's date ({today}).")
    if since > until:
        raise RefusalError("The realtime start date is after the realtime end date.")
    return since, until


def _day(query: Mapping[str, str], name: str, default: date) -> date:
    text = query.get(name)
    if text is None:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if str(day) != text or day < EARLIEST:
        raise RefusalError(f"Variable {name} is not a YYYY-MM-DD formatted date (e.g. 2000-02-24).")
    return day


def _paging(query: Mapping[str, str], highest: int, *, default_sort: str = "asc") -> tuple[str, int, int]:
    sort, limit, offset = query.get("sort_order", default_sort), query.get("limit"), query.get("offset", "0")
    if sort not in ("asc", "desc"):
        raise RefusalError("Variable sort_order is not one of the values: 'asc', 'desc'.")
    if limit is not None and not (re.fullmatch(r"\d{1,9}", limit) and 1 <= int(limit) <= highest):
        raise RefusalError(f"Variable limit is not between 1 and {highest}.")
    if not re.fullmatch(r"\d{1,9}", offset):
        raise RefusalError("Variable offset is not a non-negative integer.")
    return sort, int(limit) if limit else highest, int(offset)


def _period(since: date, until: date) -> Record:
    return {"realtime_start": str(since), "realtime_end": str(until)}


def _place(order: str, sort: str, count: int, offset: int, limit: int) -> Record:
    return {"order_by": order, "sort_order": sort, "count": count, "offset": offset, "limit": limit}


def _rendered(request: Request, name: str, head: Record, records: list[Record]) -> Answer:
    """Return JSON, or XML, which is the default: an element of the name with an element for each record."""
    if request.query.get("file_type", "xml") != "xml":
        rows: list[object] = [one["vintage_date"] for one in records] if name == "vintage_dates" else list(records)
        return Answer(200, _compact({**head, name: rows}))
    inner = "".join(f"  <{name[:-1]}{_attributes(one)}/>\n" for one in records)
    return _xml(200, f"<{name}{_attributes(head)}>\n{inner}</{name}>")


def _refuse(request: Request, status: int, message: str) -> Answer:
    if request.query.get("file_type", "xml") != "xml":
        return Answer(status, _compact({"error_code": status, "error_message": message}))
    return _xml(status, f"<error{_attributes({'code': status, 'message': message})}/>")


def _attributes(record: Record) -> str:
    return "".join(f' {name}="{escape(str(value))}"' for name, value in record.items())


def _xml(status: int, root: str) -> Answer:
    body = f'<?xml version="1.0" encoding="utf-8" ?>\n{root}\n'
    return Answer(status, body.encode(), content_type="text/xml; charset=UTF-8")


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
