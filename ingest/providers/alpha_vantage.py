"""Alpha Vantage: bars, quotes, splits and dividends, news with sentiment, economic series; one instrument a request.

Instruments: shares (`IBM`, `BRK.B`, `TSCO.LON`), pairs of money (`EUR-USD`) or of a coin and money (`BTC-USD`), and by
name economic series (`TREASURY.10Y`, `REAL.GDP`), and what articles are about (`IBM`, `CRYPTO.BTC`, `FOREX.USD`,
`TOPIC.IPO`): alpha_vantage_parts/names.py. Shares' minutes are those of the regular session, unadjusted.

Deliberately not here: weekly and monthly bars, which are computed from days, CSV, and the same API at rapidapi.com,
whose addresses and keys differ. Invariant: an answer is read only after its sentence, if it has one, was understood.

Which functions need a plan changes often and is not confirmed but for `outputsize=full`: so nothing is refused here
beforehand, a window asks for the newest 100 rows first and for all only where those begin after it, and what the
provider calls premium becomes an error that says so.

Sources, read autumn 2026: https://www.alphavantage.co/documentation, called "documentation";
https://www.alphavantage.co/support, https://www.alphavantage.co/premium; the errors' are in notices.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from ingest.errors import BadData, FixRequest, TickfarmError, UnknownName
from ingest.market.markets import EXCHANGES
from ingest.market.records import Parsed
from ingest.providers import answers
from ingest.providers.alpha_vantage_parts import facts_rows, names, notices, questions, series
from ingest.providers.contract import Facts, Query
from ingest.wire import Answer, KeySpec, Limit, Request

_SUPPORT = "https://www.alphavantage.co/support, autumn 2026"
_PREMIUM = "https://www.alphavantage.co/premium, autumn 2026"

facts = Facts(
    name="alpha_vantage",
    title="Alpha Vantage",
    base_url="https://www.alphavantage.co",
    docs_url="https://www.alphavantage.co/documentation",
    terms_url="https://www.alphavantage.co/terms_of_service",
    datasets=("bars", "quotes", "actions", "news", "observations"),
    intervals={"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "60min", "1d": "daily"},
    page_rows=series.COMPACT_ROWS,
    # Our choice: half a day past UTC midnight is past every session's end and the same evening's files.
    settle_s=12 * 3600.0,
    # "25 requests per day" without a plan, and "1 request per second". When the day turns is not said: so it slides.
    limits=(Limit(1, 1, _SUPPORT), Limit(25, 86_400, _SUPPORT)),
    plans={f"premium_{amount}": (Limit(amount, 60, _PREMIUM),) for amount in (75, 150, 300, 600, 1200)},
    key=KeySpec(
        env=notices.KEY_ENV,
        place="query",
        name="apikey",
        required=True,
        where_to_get="https://www.alphavantage.co/support/#api-key",
        also=("ALPHA_VANTAGE_API_KEY",),
    ),
    trading="XNYS",
    exchanges=EXCHANGES,
    left_out={
        "daily adjusted rows as bars": "they are the days' own with an adjusted close; splits and dividends, of which "
        "that is made, are `actions`"
    },
    paid={"actions": "any premium plan; so do bars within the day, and days before the newest 100"},
)


def build(query: Query) -> list[Request]:
    """Return one request an instrument; of shares' minutes one a month of the window."""
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.dataset == "bars" and query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    if query.start is not None and (query.end is None or query.dataset == "quotes"):
        raise FixRequest(f"{facts.name}: {query.dataset} from a time on need an end", provider=facts.name)
    return [
        request for one in dict.fromkeys(query.instruments) for request in questions.asked(query, one, facts.intervals)
    ]


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for what a compact page does not reach, or for the articles after a full page."""
    params = dict(request.params)
    if params.get("function") == "NEWS_SENTIMENT":
        second = facts_rows.next_second(answer, questions.NEWS_ROWS)
        start = None if second is None else datetime.fromtimestamp(second, UTC)
        if start is None or request.end is None or start >= request.end:
            return None
        return replace(request, params=_with(request, time_from=questions.minute(start)), start=start)
    if params.get("outputsize") != "compact":
        return None
    end = series.older(request, answer)
    if end is None or request.end is None:
        return None
    return replace(request, params=_with(request, outputsize="full"), end=min(end, request.end))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status, then a sentence in place of data, then a body cut short or empty."""
    return (
        answers.limit_or_outage(facts.name, answer)
        or notices.error_in(answer, unknown=_unknown(answer))
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
        or (_unknown(answer) if _is_nothing(answer) else None)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the rows of the request's part of the window. Raises BadData when the page can't be read at all."""
    instrument = (answer.request.instruments or query.instruments)[0]
    match query.dataset:
        case "bars":
            return series.bars(answer, instrument)
        case "actions":
            return series.actions(answer, instrument)
        case "quotes":
            return facts_rows.quotes(answer, instrument)
        case "news":
            return facts_rows.news(answer, instrument, questions.NEWS_ROWS)
        case _:
            return facts_rows.observations(answer, instrument)


def catalogue(text: str = "") -> Request | None:
    """Return the search for `text`; there is no list of everything."""
    return Request(questions.PATH, (("function", "SYMBOL_SEARCH"), ("keywords", text))) if text else None


def listed(answer: Answer) -> list[str]:
    """Return the shares that a search found. Raises BadData."""
    page = answers.load(facts.name, answer)
    found = page.get("bestMatches") if type(page) is dict else None
    if type(found) is not list or any(type(one) is not dict for one in found):
        said = f"{facts.name} sent a search that can't be used: expected bestMatches, a list of objects"
        raise BadData(said, rule="unparsable_page", provider=facts.name, status=answer.status)
    symbols = (one.get("1. symbol") for one in found)
    return [name for one in symbols if type(one) is str and (name := names.instrument_of(one)) is not None]


def native_symbol(instrument: str) -> str:
    """Return the spelling there: `BRK.B` is `BRK-B`, `EUR-USD` is `EUR/USD`, whose legs go into two parameters."""
    return names.native(instrument)


def instrument_of(native: str) -> str | None:
    """Return our spelling: `BRK-B` is `BRK.B`."""
    return names.instrument_of(native)


def _with(request: Request, **changed: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, changed.get(name, value)) for name, value in request.params)


def _is_nothing(answer: Answer) -> bool:
    """Say whether the answer is `{}`, or a quote without anything in it: what an unknown symbol gets."""
    if answer.body.strip() == b"{}":
        return True
    return {} in answers.error_object(answer, b'"Global Quote').values()


def _unknown(answer: Answer) -> UnknownName | None:
    instrument = answers.only_instrument(answer)
    if instrument is None:
        return None
    error = UnknownName("instrument", instrument, ("those its SYMBOL_SEARCH finds",), provider=facts.name)
    error.instrument, error.status = instrument, answer.status
    return error
