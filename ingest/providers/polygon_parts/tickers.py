"""Polygon's names of an instrument: shares, pairs of money, coins, indices, economic series.

    AAPL, BRK.B      the share of that ticker                EUR-USD     money: C:EURUSD, C:EUR-USD for quotes
    KIM.PR.L         the preferred share KIMpL               BTC-USD     a coin: X:BTCUSD, X:BTC-USD for trades
    SPX.INDEX        the index I:SPX                         TREASURY.10Y   treasury-yields/yield_10_year

Tickers are "case-sensitive", and the only small letter that is spelt here is a preferred share's `p`. Deliberately not
here: options, futures, warrants with small letters. Invariant: `instrument_of(ticker_of(x))` is x or None.

Source: https://massive.com/docs/rest (stocks, forex, crypto, indices, economy), autumn 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from ingest.errors import FixRequest, UnknownName
from ingest.market.symbols import is_instrument, is_pair, legs, validate

Market = Literal["stocks", "fx", "crypto", "indices"]

#: A pair of two of these is money and not a coin; two metals are traded like it.
_MONEY = frozenset(
    re.findall(
        "...",
        "AEDARSAUDBGNBHDBRLCADCHFCLPCNHCNYCOPCZKDKKEGPEURGBPHKDHUFIDRILSINRISKJODJPYKESKRWKWDKZTMAD"
        "MXNMYRNGNNOKNZDOMRPENPHPPKRPLNQARRONRUBSARSEKSGDTHBTNDTRYTWDUAHUSDVNDXAGXAUXPDXPTZAR",
    )
)
#: What coins are quoted in, a longer name before one that it ends with.
_QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP", "AUD", "CAD", "CHF", "JPY", "KRW", "BTC", "ETH")
_INDEX = ".INDEX"
_PREFERRED = re.compile(r"([A-Z]+)\.PR(?:\.([A-Z]))?", re.ASCII)
_PREFERRED_TICKER = re.compile(r"([A-Z]+)p([A-Z])?", re.ASCII)
_PREFIXES: Mapping[str, Market] = {"C": "fx", "X": "crypto", "I": "indices"}

#: Our name of an economic series -> the table of `/fed/v1/` and its column.
SERIES: Mapping[str, tuple[str, str]] = {
    **{f"TREASURY.{n}M": ("treasury-yields", f"yield_{n}_month") for n in (1, 3, 6)},
    **{f"TREASURY.{n}Y": ("treasury-yields", f"yield_{n}_year") for n in (1, 2, 3, 5, 7, 10, 20, 30)},
    "INFLATION.CPI": ("inflation", "cpi"),
    "INFLATION.CPI.CORE": ("inflation", "cpi_core"),
    "INFLATION.CPI.CHANGE": ("inflation", "cpi_year_over_year"),
    "INFLATION.PCE": ("inflation", "pce"),
    "INFLATION.PCE.CORE": ("inflation", "pce_core"),
    "INFLATION.PCE.SPENDING": ("inflation", "pce_spending"),
    "EXPECTED.INFLATION.FORWARD": ("inflation-expectations", "forward_years_5_to_10"),
    **{f"EXPECTED.INFLATION.MARKET.{n}Y": ("inflation-expectations", f"market_{n}_year") for n in (5, 10)},
    **{f"EXPECTED.INFLATION.MODEL.{n}Y": ("inflation-expectations", f"model_{n}_year") for n in (1, 5, 10, 30)},
    "LABOR.UNEMPLOYMENT": ("labor-market", "unemployment_rate"),
    "LABOR.PARTICIPATION": ("labor-market", "labor_force_participation_rate"),
    "LABOR.HOURLY.EARNINGS": ("labor-market", "avg_hourly_earnings"),
    "LABOR.JOB.OPENINGS": ("labor-market", "job_openings"),
}
_SERIES_OF = {f"{table}/{column}": name for name, (table, column) in SERIES.items()}


def market_of(instrument: str) -> Market:
    """Return the market that trades the instrument. Raises FixRequest for what is traded on none."""
    if validate(instrument) in SERIES:
        said = f"{instrument} is an economic series: polygon has observations of it and nothing else"
        raise FixRequest(said, provider="polygon", instrument=instrument)
    if is_pair(instrument):
        return "fx" if set(legs(instrument)) <= _MONEY else "crypto"
    return "indices" if instrument.endswith(_INDEX) else "stocks"


def ticker_of(instrument: str, *, mark: str = "") -> str:
    """Return the ticker, a pair's legs with `mark` between them (`-` for trades and quotes). Raises FixRequest."""
    match market_of(instrument):
        case "fx":
            return "C:" + mark.join(legs(instrument))
        case "crypto":
            return "X:" + mark.join(legs(instrument))
        case "indices":
            return f"I:{instrument.removesuffix(_INDEX)}"
        case _:
            preferred = _PREFERRED.fullmatch(instrument)
            return f"{preferred[1]}p{preferred[2] or ''}" if preferred else instrument


def native_of(instrument: str) -> str:
    """Return the ticker, or `table/column` of an economic series."""
    return "/".join(SERIES[instrument]) if instrument in SERIES else ticker_of(instrument)


def series_of(instrument: str) -> tuple[str, str]:
    """Return table and column of an economic series. Raises UnknownName."""
    if instrument not in SERIES:
        raise UnknownName("instrument", instrument, SERIES, provider="polygon")
    return SERIES[instrument]


def instrument_of(native: str, pair: tuple[str, str] | None = None) -> str | None:
    """Return our spelling, None where there is none. A pair's legs are told by `pair`, else by its usual quotes."""
    if native in _SERIES_OF:
        return _SERIES_OF[native]
    prefix, colon, name = native.partition(":")
    if not colon:
        preferred = _PREFERRED_TICKER.fullmatch(native)
        found = ".PR.".join(preferred.groups("")).removesuffix(".") if preferred else native
    else:
        market = _PREFIXES.get(prefix)
        found = f"{name}{_INDEX}" if market == "indices" else "-".join(pair or _legs(name, market))
    if not is_instrument(found) or found in SERIES:
        return None
    marked = native.replace("-", "", 1) if colon else native
    return found if ticker_of(found) == marked else None


def _legs(name: str, market: Market | None) -> tuple[str, ...]:
    if "-" in name:
        return tuple(name.split("-"))
    if market == "fx":
        return name[:3], name[3:]
    quote = next((one for one in _QUOTES if name.endswith(one) and len(name) > len(one)), None)
    return (name.removesuffix(quote), quote) if quote and market else ()
