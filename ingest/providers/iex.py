"""IEX Cloud: bars, trades, quotes, books and news of US shares, as its v1 REST API answered until it was retired.

Nothing serves it any more: requests go only to an archive that speaks v1, whose base URL is set by hand. Instruments
are shares (`AAPL`, `BRK.B`); warrants and preferred shares (`AIG+`) have no name in our grammar.

Deliberately not here: Apperate (api.iex.cloud), streams, economic series (whose rows no source confirms), and
IEX HIST, the packet captures that remain. Invariant: a row is what IEX said of it: prices of its venue where minutes,
trades and quotes are concerned, and a 0 that means "none" is none.

Sources, read autumn 2026: archived https://iexcloud.io/docs/api and its FAQ; timkpaine/pyEX; public code search for the
sentences of errors. Field lists are partly unconfirmed, so a row that lacks one is a finding.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from ingest.errors import FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.records import Parsed
from ingest.market.symbols import is_pair, validate
from ingest.market.times import first_date
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.iex_parts import rows
from ingest.wire import Answer, KeySpec, Limit, Request

#: "up to 100 symbols" in one request.
SYMBOLS = 100
#: A live poll: the bar still forming, and a few closed ones so that a missed poll heals at the next.
NEWEST_ROWS = 5
#: The most that `last` takes, of trades and of articles.
NEWEST_TRADES, NEWEST_NEWS = 500, 50
#: Days asked for one by one; a longer window takes the whole history in one answer.
MOST_DAYS = 5

_DOCS = "https://iexcloud.io/docs/api, autumn 2026"

facts = Facts(
    name="iex",
    title="IEX Cloud",
    base_url="https://cloud.iexapis.com/v1",
    docs_url="https://iexcloud.io/docs/api",
    terms_url="https://iexcloud.io/terms",
    datasets=("bars", "trades", "quotes", "books", "news"),
    intervals={"1m": "1m", "1d": "1d"},
    page_rows=NEWEST_TRADES,
    # Our choice: half a day past UTC midnight is past every US session's end and the same evening's files.
    settle_s=12 * 3600.0,
    # "100 requests per second" by address. What a message costs is the archive's business now.
    limits=(Limit(100, 1, _DOCS),),
    # An archive may want none.
    key=KeySpec("IEX_TOKEN", "query", "token", required=False, where_to_get="https://iexcloud.io (none are given out)"),
    # A book names no time of its own, so that one without levels could not be dated among others.
    batch={"bars": 1, "trades": SYMBOLS, "quotes": SYMBOLS, "books": 1, "news": 1},
    # Minutes reached 30 days back; how far an archive reaches is not known, so nothing is said in `reach_days`.
    trading="XNYS",
    adjustment="splits",
    # "Venue volume": what was traded on IEX itself, 2 to 3 % of the market.
    volume="venue",
    lifecycle="retired",
    lifecycle_note="2024-08-31: use polygon, fmp or finnhub for the same data",
)

_ERROR_BYTES = 400
_QUOTA = re.compile(r"message quota", re.I)
_KEY = re.compile(r"\b(api key|token|secret key)\b", re.I)
_UNKNOWN = re.compile(r"\s*unknown symbol\s*", re.I)


def build(query: Query) -> list[Request]:
    """Return what asks for the query; of minutes one request a day. Raises FixRequest for windows of what has none."""
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    names = tuple(dict.fromkeys(query.instruments))
    natives = {instrument: native_symbol(instrument) for instrument in names}
    if query.dataset == "bars":
        if query.interval not in facts.intervals:
            raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
        if query.start is not None and query.end is None:
            raise FixRequest(f"{facts.name}: bars from a time on need an end", provider=facts.name)
        chart = _days if query.interval == "1d" else _minutes
        return [request for one in names for request in chart(query, one, f"/stock/{natives[one]}")]
    if query.start is not None:
        said = f"{facts.name} has only the newest {query.dataset}; leave out the window"
        raise FixRequest(said, provider=facts.name)
    if query.dataset == "news":
        return [Request(f"/stock/{natives[one]}/news/last/{NEWEST_NEWS}", (), (), (one,)) for one in names]
    if query.dataset == "books":
        return [Request("/deep/book", (("symbols", natives[one]),), (), (one,)) for one in names]
    path, more = ("/tops", ()) if query.dataset == "quotes" else ("/deep/trades", (("last", str(NEWEST_TRADES)),))
    return [
        Request(path, (("symbols", ",".join(natives[one] for one in some)), *more), (), some)
        for some in (names[i : i + SYMBOLS] for i in range(0, len(names), SYMBOLS))
    ]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return None: every request is answered whole."""
    return None


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status, then its sentence, which is plain text. None of its words is repeated."""
    text = answer.body[:_ERROR_BYTES].decode("utf-8", "replace")
    return (
        answers.limit_or_outage(facts.name, answer)
        or (_unknown(answer) if _UNKNOWN.fullmatch(text) else None)
        or (_unpaid(answer, text) if answer.status == 402 else None)
        or _not_allowed(answer, text)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the rows of the request's part of the window. Raises BadData when the page can't be read at all."""
    page = answers.load(facts.name, answer, numbers_as_text=True)
    asked = {native_symbol(one): one for one in answer.request.instruments or query.instruments}
    match query.dataset:
        case "bars":
            read = rows.day if query.interval == "1d" else rows.minute
            return rows.bars(query, answer, rows.listed_rows(page, answer), next(iter(asked.values())), read)
        case "news":
            return rows.news(rows.listed_rows(page, answer), next(iter(asked.values())))
        case "books":
            return rows.book(page, *next(iter(asked.items())), answer)
        case "trades":
            return rows.trades(page, asked, answer)
        case _:
            return rows.quotes(page, asked, answer)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all symbols."""
    return Request("/ref-data/symbols")


def listed(answer: Answer) -> list[str]:
    """Return the shares among the symbols. Raises BadData."""
    page = rows.listed_rows(answers.load(facts.name, answer), answer)
    symbols = [one.get("symbol") if type(one) is dict else None for one in page]
    return [name for one in symbols if type(one) is str and (name := instrument_of(one)) is not None]


def native_symbol(instrument: str) -> str:
    """Return the symbol, which is the instrument's own name. Raises FixRequest for a pair."""
    if is_pair(validate(instrument)):
        said = f"{facts.name} has shares only, like AAPL or BRK.B; found {instrument!r}"
        raise FixRequest(said, provider=facts.name, instrument=instrument)
    return instrument


def instrument_of(native: str) -> str | None:
    """Return the share of a symbol, None for a warrant or preferred share (`AIG+`, `BAC-A`)."""
    return rows.instrument_of(native)


def _days(query: Query, instrument: str, stock: str) -> list[Request]:
    """Return what asks for days: the newest five, a few by their dates, or all there are."""
    if query.start is None or query.end is None:
        return [Request(f"{stock}/chart/5d", (), (), (instrument,))]
    first, count = first_date(query.start), (first_date(query.end) - first_date(query.start)).days
    if count > MOST_DAYS:
        return [Request(f"{stock}/chart/max", (), (), (instrument,), 1, query.start, query.end)]
    days = [first + timedelta(days=i) for i in range(max(count, 1))]
    by_day = (("chartByDay", "true"),)
    return [
        Request(f"{stock}/chart/date/{day:%Y%m%d}", by_day, (), (instrument,), 1, query.start, query.end)
        for day in _weekdays(days)
    ]


def _minutes(query: Query, instrument: str, stock: str) -> list[Request]:
    """Return what asks for minutes: the newest, or those of each day of New York's."""
    if query.start is None or query.end is None:
        newest = (("chartLast", str(NEWEST_ROWS)),)
        return [Request(f"{stock}/intraday-prices", newest, (), (instrument,))]
    first = query.start.astimezone(rows.EXCHANGE).date()
    last = (query.end - timedelta(microseconds=1)).astimezone(rows.EXCHANGE).date()
    days = [first + timedelta(days=i) for i in range(max((last - first).days, 0) + 1)]
    return [
        Request(f"{stock}/chart/date/{day:%Y%m%d}", (), (), (instrument,), 1, query.start, query.end)
        for day in _weekdays(days)
    ]


def _weekdays(days: list[date]) -> list[date]:
    """Leave out Saturdays and Sundays, but not the last day of all."""
    return [day for day in days if day.weekday() < 5] or days[:1]


def _unpaid(answer: Answer, text: str) -> TickfarmError:
    """Return what a 402 means: the month's messages are spent, or the plan never has it."""
    if _QUOTA.search(text):
        # "subscriptions renew at the start of every calendar month". Source: archived FAQ.
        said, wait = f"{facts.name}: the month's messages are spent", _until_next_month_s(answer.received_at)
        return SlowDown(said, provider=facts.name, status=answer.status, retry_after_s=wait)
    said = f"{facts.name} error: the plan of the key in IEX_TOKEN does not have this"
    return FixRequest(said, provider=facts.name, status=answer.status, instrument=answers.only_instrument(answer))


def _not_allowed(answer: Answer, text: str) -> TickfarmError | None:
    status = answer.status
    if status in (400, 401, 403) and _KEY.search(text):
        said = f"{facts.name}: the token was refused; set IEX_TOKEN to one that this archive accepts"
        return KeyRefused(said, provider=facts.name, status=status)
    if status == 451:
        # "Unable to complete your request at this time".
        return TryAgain(f"{facts.name} failed on its side (HTTP 451)", provider=facts.name, status=status)
    if status in (403, 410):
        said = f"{facts.name} is retired, and what answers at this base URL refuses (HTTP {status})"
        return FixRequest(said, provider=facts.name, status=status)
    return None


def _until_next_month_s(now: datetime) -> float:
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return ((first + timedelta(days=32)).replace(day=1) - now).total_seconds()


def _unknown(answer: Answer) -> TickfarmError:
    instrument = answers.only_instrument(answer)
    if instrument is None:
        said = f"{facts.name}: a symbol does not exist; ask for each by itself to see which"
        return FixRequest(said, provider=facts.name, status=answer.status)
    error = UnknownName("instrument", instrument, ("those in /ref-data/symbols",), provider=facts.name)
    error.instrument, error.status = instrument, answer.status
    return error
