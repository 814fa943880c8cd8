"""FMP's spellings, and what of the news and of the economy goes by which name.

    AAPL, BRK.B, TSCO.LON, SAP.DE   AAPL, BRK-B, TSCO.L, SAP.DE
    INDEX.VIX                       ^VIX
    EUR-USD, BTC-USD, GC-USD        EURUSD, BTCUSD, GCUSD (currencies, crypto, commodities)
    UNADJUSTED.AAPL, ADJUSTED.AAPL  non-split-adjusted:AAPL, dividend-adjusted:AAPL (daily bars of a share)
    REAL.GDP, TREASURY.10Y          economic-indicators?name=realGDP, the column year10 of treasury-rates
    GENERAL, STOCKS, ..             a feed of news

Deliberately not here: exchanges of one letter but London's (`.F`, `.V`), which can't be told from classes of shares.
Invariant: what `instrument_of` returns, `native_symbol` turns back into the same symbol.
"""

from __future__ import annotations

import re

from ingest.errors import FixRequest, UnknownName
from ingest.market.symbols import is_instrument, is_pair, legs, validate

PROVIDER = "fmp"
#: First parts of a name whose daily bars are of another adjustment, and the last part of their address. The answers of
#: both have the same keys. Source: https://site.financialmodelingprep.com/developer/docs/stable, 2026-06.
UNADJUSTED, ADJUSTED = "UNADJUSTED", "ADJUSTED"
_ADDRESSES = {UNADJUSTED: "non-split-adjusted", ADJUSTED: "dividend-adjusted"}
#: Feeds of news without a symbol. Source: https://site.financialmodelingprep.com/developer/docs/stable, 2026-06.
FEEDS = {
    "GENERAL": "/news/general-latest",
    "STOCKS": "/news/stock-latest",
    "CRYPTO": "/news/crypto-latest",
    "FOREX": "/news/forex-latest",
    "PRESS.RELEASES": "/news/press-releases-latest",
    "ARTICLES": "/fmp-articles",
}
#: Its names are case-sensitive, and some are longer than an instrument may be. Source: the same page.
INDICATORS = {
    "GDP": "GDP",
    "REAL.GDP": "realGDP",
    "POTENTIAL.GDP": "nominalPotentialGDP",
    "REAL.GDP.PER.CAPITA": "realGDPPerCapita",
    "FEDERAL.FUNDS": "federalFunds",
    "CPI": "CPI",
    "INFLATION.RATE": "inflationRate",
    "INFLATION": "inflation",
    "RETAIL.SALES": "retailSales",
    "CONSUMER.SENTIMENT": "consumerSentiment",
    "DURABLE.GOODS": "durableGoods",
    "UNEMPLOYMENT.RATE": "unemploymentRate",
    "NONFARM.PAYROLL": "totalNonfarmPayroll",
    "INITIAL.CLAIMS": "initialClaims",
    "INDUSTRIAL.PRODUCTION": "industrialProductionTotalIndex",
    "HOUSING.STARTS": "newPrivatelyOwnedHousingUnitsStartedTotalUnits",
    "VEHICLE.SALES": "totalVehicleSales",
    "RETAIL.MONEY.FUNDS": "retailMoneyFunds",
    "RECESSION.PROBABILITY": "smoothedUSRecessionProbabilities",
    "DEPOSIT.RATE.3M": "3MonthOr90DayRatesAndYieldsCertificatesOfDeposit",
    "CREDIT.CARD.RATE": "commercialBankInterestRateOnCreditCardPlansAllAccounts",
    "MORTGAGE.RATE.30Y": "30YearFixedRateMortgageAverage",
    "MORTGAGE.RATE.15Y": "15YearFixedRateMortgageAverage",
    "TRADE.BALANCE": "tradeBalanceGoodsAndServices",
}
TREASURIES = {f"TREASURY.{n}M": f"month{n}" for n in (1, 2, 3, 6)} | {
    f"TREASURY.{n}Y": f"year{n}" for n in (1, 2, 3, 5, 7, 10, 20, 30)
}

#: The last part of the address of plain daily bars.
FULL = "full"
_INDEX = "INDEX."
_CURRENCIES = ("EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "NZD", "CNY", "HKD", "SEK", "NOK", "MXN", "INR", "USD")
_CLASS = re.compile(r"[A-Z0-9]+\.[A-Z]", re.ASCII)


def native_symbol(instrument: str) -> str:
    """Return the symbol, behind the address it is of where its bars have one of their own. Raises FixRequest."""
    address, native = day_bars(instrument)
    return native if address == FULL else f"{address}:{native}"


def day_bars(instrument: str) -> tuple[str, str]:
    """Return the last part of the address of its daily bars, and the symbol. Raises FixRequest."""
    kind, dot, name = validate(instrument).partition(".")
    if not dot or kind not in _ADDRESSES:
        return FULL, symbol(instrument, "bars")
    return _ADDRESSES[kind], share(name, "bars of other adjustments")


def symbol(instrument: str, what: str) -> str:
    """Return the symbol to ask with. Raises FixRequest for a single name that is a pair's symbol there."""
    if is_pair(validate(instrument)):
        return "".join(legs(instrument))
    if instrument.startswith(_INDEX):
        return "^" + instrument.removeprefix(_INDEX)
    if instrument.partition(".")[0] in _ADDRESSES:
        said = f"{PROVIDER} has {what} under the plain name only; found {instrument!r}"
        raise FixRequest(said, provider=PROVIDER, instrument=instrument)
    if _pair_of(instrument) is not None:
        said = f"{PROVIDER}: {instrument} is a pair there; write it with a hyphen, {_pair_of(instrument)}"
        raise FixRequest(said, provider=PROVIDER, instrument=instrument)
    if instrument.endswith(".LON"):
        return instrument.removesuffix("ON")
    return instrument.replace(".", "-") if _CLASS.fullmatch(instrument) else instrument


def instrument_of(native: str) -> str | None:
    """Return our spelling of a symbol, None where our grammar has none for it."""
    address, colon, of_share = native.partition(":")
    if colon:
        name = instrument_of(of_share)
        kind = next((kind for kind, theirs in _ADDRESSES.items() if theirs == address), None)
        found = f"{kind}.{name}"
        if kind is None or name is None or is_pair(name) or name.startswith(_INDEX):
            return None
    elif native.startswith("^"):
        found = _INDEX + native.removeprefix("^")
    elif native.endswith(".L"):
        found = native + "ON"
    else:
        found = _pair_of(native) or native.replace("-", ".")
    if not is_instrument(found):
        return None
    try:
        return found if native_symbol(found) == native else None
    except FixRequest:
        return None


def share(instrument: str, what: str) -> str:
    """Return the symbol of a share of any country. Raises FixRequest for a pair or an index."""
    native = symbol(instrument, what)
    if is_pair(instrument) or native.startswith("^"):
        said = f"{PROVIDER} has {what} of shares only, like AAPL, BRK.B or TSCO.LON; found {instrument!r}"
        raise FixRequest(said, provider=PROVIDER, instrument=instrument)
    return native


def us_share(instrument: str, what: str) -> str:
    """Return the symbol of a share of the United States. Raises FixRequest for anything else."""
    native = symbol(instrument, what)
    if is_pair(instrument) or native.startswith("^") or "." in native:
        said = f"{PROVIDER} has {what} of US shares only, like AAPL or BRK.B; found {instrument!r}"
        raise FixRequest(said, provider=PROVIDER, instrument=instrument)
    return native


def news_path(instrument: str) -> tuple[str, str | None]:
    """Return where an instrument's news is, and its symbol where it has one."""
    if instrument in FEEDS:
        return FEEDS[instrument], None
    if not is_pair(validate(instrument)):
        return "/news/stock", symbol(instrument, "news")
    is_money = all(leg in _CURRENCIES for leg in legs(instrument))
    return ("/news/forex" if is_money else "/news/crypto"), symbol(instrument, "news")


def check_series(instrument: str) -> str:
    """Return the name of an economic series. Raises UnknownName, with those there are."""
    if instrument not in INDICATORS and instrument not in TREASURIES:
        unknown = UnknownName("instrument", instrument, (*INDICATORS, *TREASURIES), provider=PROVIDER)
        unknown.instrument = instrument
        raise unknown
    return instrument


def _pair_of(native: str) -> str | None:
    """Return the pair of a symbol: two currencies, or five characters and more that end in USD; no US ticker does."""
    base, quote = native[:-3], native[-3:]
    is_one = native.isalnum() and quote in _CURRENCIES and (base in _CURRENCIES or (quote == "USD" and len(base) > 1))
    return f"{base}-{quote}" if is_one else None
