"""Nasdaq Data Link: daily bars of US shares from the datatable WIKI/PRICES (frozen since 2018), and observations.

Bars are of shares (`AAPL`, `BRK.B`); observations of a time-series dataset's column (`LBMA.GOLD.USDAM`), which
`nasdaq_data_link_parts/series.py` explains, or of a share's in a table (`NDAQ.RTAT10.TSLA.ACTIVITY`: tables.py). Many
of both are frozen: an answer without anything new is no error.

Deliberately not here: bulk export. Invariant: columns are mapped by name, never by position, and numbers keep the
digits they were sent with.

Source for all facts, unless another stands beside one: https://github.com/Nasdaq/data-link-python 1.0.4
(get_table.py, connection.py, api_config.py), read autumn 2026.
"""

from __future__ import annotations

from dataclasses import replace

from ingest.errors import TickfarmError, TryAgain, UnknownName
from ingest.market.records import Parsed
from ingest.market.symbols import is_instrument, is_pair, validate
from ingest.providers import answers
from ingest.providers.contract import Facts, Query
from ingest.providers.nasdaq_data_link_parts import errors, series, tables
from ingest.wire import Answer, KeySpec, Limit, Request

_DOCS = "https://help.data.nasdaq.com/article/490-is-there-a-rate-limit-or-speed-limit-for-api-usage, autumn 2026"

facts = Facts(
    name="nasdaq_data_link",
    title="Nasdaq Data Link",
    base_url="https://data.nasdaq.com/api/v3",
    docs_url="https://docs.data.nasdaq.com/docs/in-depth-usage-1",
    terms_url="https://data.nasdaq.com/terms",
    datasets=("bars", "observations"),
    intervals={"1d": "1d"},
    page_rows=tables.PAGE_ROWS,
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
    batch={"bars": tables.TICKERS, "observations": 1},
    trading="XNYS",
    left_out={"other tables' columns as observations": "which they have, and what one means, is not documented here"},
    aliases=("quandl",),
)


def build(query: Query) -> list[Request]:
    """Return the first page of each batch of tickers; `next_page` follows the cursor from there. Series have one page.

    A query of bars without `start` reaches back `NEWEST_DAYS` from its `end`: a table can't be asked for its newest.
    """
    if query.dataset not in facts.datasets:
        raise UnknownName("dataset", query.dataset, facts.datasets, provider=facts.name)
    if query.dataset == "observations":
        of_tables = [name for name in query.instruments if tables.is_observed(name)]
        of_series = tuple(name for name in query.instruments if not tables.is_observed(name))
        found = tables.build_observations(query, list(dict.fromkeys(of_tables))) if of_tables else []
        return found + (series.build(replace(query, instruments=of_series)) if of_series else [])
    if query.interval not in facts.intervals:
        raise UnknownName("interval", str(query.interval), facts.intervals, provider=facts.name)
    return tables.build_bars(query)


def next_page(request: Request, answer: Answer) -> Request | None:
    """Return the request for a table's page after this one; series have one page."""
    return tables.next_page(request, answer)


def error_of(answer: Answer) -> TickfarmError | None:
    """Return the error in the answer: status first, then a `quandl_error`, a body cut short, a column that is not."""
    code, text = errors.quandl_error(answer)
    by_status = answers.limit_or_outage(facts.name, answer)
    if code.startswith("QEL") and code not in errors.TOO_LARGE_CODES and not isinstance(by_status, TryAgain):
        return errors.limit(code, text, answer)
    if answer.status == 403 and not code:
        # "HTML pages (CDN bot check, 403) also happen": a moment of the CDN's, not a verdict on the key.
        said = f"{facts.name}: HTTP 403 without an error code, as its CDN's bot check sends"
        return TryAgain(said, provider=facts.name, status=403)
    return (
        by_status
        or (errors.coded(code, answer) if code else None)
        or answers.refusal(facts.name, answer)
        or answers.not_json(facts.name, answer)
        or series.unknown_column(answer)
    )


def parse(query: Query, answer: Answer) -> Parsed:
    """Return the page's rows in its order, dates as sent. Raises BadData if table, columns or cursor are missing."""
    if query.dataset == "bars":
        return tables.parse_bars(query, answer)
    instrument = (answer.request.instruments or query.instruments)[0]
    if tables.is_observed(instrument):
        return tables.parse_observations(instrument, answer)
    return series.parse(query, answer)


def catalogue(text: str = "") -> Request | None:
    """Return None: a table's tickers can only be read out of its rows, and no search for datasets is documented."""
    return None


def listed(answer: Answer) -> list[str]:
    """Return nothing, as there is no catalogue."""
    return []


def native_symbol(instrument: str) -> str:
    """Return a share's ticker (`BRK.B` is `BRK_B`), or the path of a column. Raises FixRequest for a pair."""
    if tables.is_observed(validate(instrument)):
        return tables.native_of(instrument)
    return series.native_of(instrument) if series.is_series(instrument) else tables.ticker_of(instrument)


def instrument_of(native: str) -> str | None:
    """Return the share of a ticker (`BRK_B` is `BRK.B`), or the instrument of a column's path."""
    if "/" in native:
        of_series = series.instrument_of(native)
        is_taken = of_series is not None and tables.is_observed(of_series)
        return tables.instrument_of(native) or (None if is_taken else of_series)
    name = native.replace("_", ".")
    is_share = is_instrument(name) and not is_pair(name) and not series.is_series(name)
    return name if is_share and "." not in native else None
