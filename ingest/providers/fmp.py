"""Financial Modeling Prep (stable API): bars, quotes, best bid and ask, actions, news, economic series, treasury rates.

Errors come as an object where a list is expected, with HTTP 200 too, and the text of a spent quota says "upgrade your
plan": limits are told before plans. Instruments: shares (`AAPL`, `BRK.B`, `TSCO.LON`), `INDEX.VIX`, pairs (`EUR-USD`,
`BTC-USD`); for news those, or GENERAL, STOCKS, CRYPTO, FOREX, PRESS.RELEASES, ARTICLES; economic series `REAL.GDP`,
`TREASURY.10Y` (fmp_parts/symbols.py). Bid and ask come from another address than the last price: they are `books`.
Daily bars of a share are `AAPL` adjusted for splits, `UNADJUSTED.AAPL` as they were traded, `ADJUSTED.AAPL` adjusted
for dividends too: three addresses, three series, so that one's prices never stand among another's.

Actions are all splits and dividends of a share, two requests whatever the window: nothing but a symbol can be asked
for. A dividend's amount is `adjDividend`: the documentation calls it "adjusted" and no more, its values are worked down
for every later split (Apple's 0.205 for the 0.82 in `dividend`, what was paid before the 4:1), and so are the daily
bars it has to fit. A split changes all amounts before it, so a poll brings the whole list. `limit` is left out: free
plans refuse one above 5, and one was seen to get the whole list without it (AAPL, 2026-09-11).

Deliberately not here: batch quotes (paid for), calendars, streaming, intraday bars of pairs, indices and other
countries, whose zone is nowhere documented, and hourly ones, which begin at half past.
Invariant: numbers keep the digits they were sent with.

Sources, read 2026-11-25: https://site.financialmodelingprep.com/developer/docs/stable (2026-06, as copied publicly),
called "docs"; client fmpsdk (2026-08); OpenBB-finance/OpenBB openbb_fmp.
"""

from __future__ import annotations

from dataclasses import replace

from ingest.errors import FixRequest, TickfarmError, TryAgain, UnknownName
from ingest.market.markets import EXCHANGES
from ingest.market.records import Parsed
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.fmp_parts import errors, facts_rows, pages, prices, questions, symbols
from ingest.wire import Answer, KeySpec, Limit, Request

_PRICING = "https://site.financialmodelingprep.com/developer/docs/pricing, autumn 2026"

facts = Facts(
    name="fmp",
    title="Financial Modeling Prep",
    base_url="https://financialmodelingprep.com/stable",
    docs_url="https://site.financialmodelingprep.com/developer/docs/stable",
    terms_url="https://site.financialmodelingprep.com/terms-of-service",
    datasets=("bars", "quotes", "books", "actions", "news", "observations"),
    # Its hours and four hours begin with the session, at half past: bars of another grid than ours. Source: docs, chart
    # (1hour: 15:30, 4hour: 13:30).
    intervals={"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1d": "full"},
    page_rows=5_000,
    # Our choice: half a day past UTC midnight is past every US session's end and the same evening's corrections.
    settle_s=12 * 3600.0,
    # "250 requests/day" (Basic); whether the day is the calendar's is not said, so it slides.
    limits=(Limit(250, 86_400, _PRICING),),
    plans={
        "starter": (Limit(300, 60, _PRICING),),
        "premium": (Limit(750, 60, _PRICING),),
        "ultimate": (Limit(3_000, 60, _PRICING),),
    },
    # "Include your API key in the request header as: apikey: YOUR_API_KEY". Source: docs.
    key=KeySpec(
        env="FMP_API_KEY",
        place="header",
        name="apikey",
        required=True,
        where_to_get="https://site.financialmodelingprep.com/developer/docs/dashboard",
    ),
    batch={"bars": 1, "quotes": 1, "books": 1, "actions": 1, "news": 1, "observations": len(symbols.TREASURIES)},
    trading="XNYS",
    exchanges=dict(EXCHANGES) | {"DE": "XETR", "TO": "XTSE", "SS": "XSHG", "BO": "XBOM"},
    # "full" is adjusted for splits, "dividend-adjusted" for both. Source: OpenBB openbb_fmp.
    adjustment="splits",
    adjustments={symbols.UNADJUSTED: "none", symbols.ADJUSTED: "all"},
    paid={"news": "Starter (ARTICLES is free)"},
    left_out={
        "hourly and four-hourly bars": "theirs begin with the session, at half past; compute them from 30m",
        "historical-price-eod/light": "it has no open, high and low",
    },
    aliases=("financialmodelingprep",),
)


def build(query: Query) -> list[Request]:
    """Return the requests, by dates: of daily bars one, of others one for as many days as an answer surely holds.

    All asked treasury rates share theirs. Raises FixRequest for a start without an end, or a poll without `end`.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.start is not None and query.end is None:
        raise FixRequest(f"{facts.name}: a window needs an end as well as a start", provider=facts.name)
    return questions.asked(query, tuple(dict.fromkeys(query.instruments)), facts.intervals)


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for the news after this page's, of a window, until a page is empty.

    A page with fewer rows than the limit does not end it: a plan may have a smaller one.
    """
    params = dict(request.params)
    if request.start is None or "page" not in params or answer.body.strip() == b"[]":
        return None
    if int(params["page"]) >= questions.LAST_NEWS_PAGE:
        return None
    params["page"] = str(int(params["page"]) + 1)
    return replace(request, params=tuple(params.items()))


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: an outage, its text (limits first), the status, a symbol that does not exist."""
    said = errors.said_in(answer)
    outage = answers.limit_or_outage(facts.name, answer)
    return (
        (outage if isinstance(outage, TryAgain) else None)
        or (errors.limit(said, answer) if errors.LIMIT.search(said) else None)
        or outage
        or errors.refused(said, answer)
        or errors.unknown_symbol(answer)
        or answers.not_json(facts.name, answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the answer's rows in its order, from the newest."""
    page = answers.load(facts.name, answer, numbers_as_text=True)
    asked = answer.request.instruments or query.instruments
    match query.dataset:
        case "bars":
            return prices.bars(page, asked[0], query.interval or "", answer)
        case "quotes":
            return prices.quotes(page, asked[0], answer)
        case "books":
            return prices.books(page, asked[0], answer)
        case "actions":
            return facts_rows.actions(page, asked[0], answer)
        case "news":
            return facts_rows.news(page, asked[0], answer)
        case _:
            return facts_rows.observations(page, asked, answer)


def catalogue(text: str = "") -> Request | None:
    """Return the request for all shares, or with a text for what symbols are found by it."""
    return Request("/search-symbol", (("query", text),)) if text else Request("/stock-list")


def listed(answer: Answer) -> list[str]:
    """Return the instruments of either that our grammar can spell."""
    found = pages.list_of(answers.load(facts.name, answer), answer)
    if any(type(one) is not dict or type(one.get("symbol")) is not str for one in found):
        raise pages.bad_page("a list of objects with a symbol", answer)
    names = (symbols.instrument_of(one["symbol"]) for one in found)
    return list(dict.fromkeys(name for name in names if name is not None))


def native_symbol(instrument: str) -> str:
    """Return the spelling of bars and quotes: `BRK-B`, `TSCO.L`, `^VIX`, `EURUSD`, `dividend-adjusted:AAPL`."""
    return symbols.native_symbol(instrument)


def instrument_of(native: str) -> str | None:
    """Return our spelling, None where our grammar has none."""
    return symbols.instrument_of(native)
