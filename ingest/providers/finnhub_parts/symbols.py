"""Finnhub's spellings: shares as everywhere, pairs behind the exchange they are quoted on, economic codes with hyphens.

    AAPL, BRK.B, TSCO.L     the same (a dot before the exchange's code)
    EUR-USD                 OANDA:EUR_USD where both legs are money or metal
    BTC-USDT                BINANCE:BTCUSDT, any other pair
    MA.USA.656880           MA-USA-656880, the code of an economic series
    GENERAL, FOREX, ..      a category of market news

Deliberately not here: other exchanges, and indices (`^GSPC`), which our grammar can't spell.
Invariant: what `instrument_of` returns, `native_symbol` turns back into the same name.
"""

from __future__ import annotations

from ingest.errors import FixRequest
from ingest.market.symbols import is_instrument, is_pair, legs, validate

PROVIDER = "finnhub"
#: The categories of /news. Source: finnhub-go api/openapi.yaml, 2026-06.
TOPICS = ("GENERAL", "FOREX", "CRYPTO", "MERGER")
FX, CRYPTO = "OANDA", "BINANCE"
#: What OANDA quotes against each other; a pair with another leg is a crypto pair.
_MONEY = frozenset(
    (
        *("AUD", "CAD", "CHF", "CNH", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "INR", "JPY", "MXN", "NOK", "NZD"),
        *("PLN", "SAR", "SEK", "SGD", "THB", "TRY", "USD", "XAG", "XAU", "XPD", "XPT", "ZAR"),
    )
)
#: Binance's names have no mark between their legs, so the quote is told by its ending.
_CRYPTO_QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL")


def native_symbol(instrument: str) -> str:
    """Return the symbol to ask with. Raises FixRequest for a pair that neither OANDA nor Binance has."""
    if not is_pair(validate(instrument)):
        return instrument
    base, quote = legs(instrument)
    if base in _MONEY and quote in _MONEY:
        return f"{FX}:{base}_{quote}"
    if quote not in _CRYPTO_QUOTES:
        said = f"{PROVIDER}: {CRYPTO} has crypto pairs in {', '.join(_CRYPTO_QUOTES)} only; found {instrument!r}"
        raise FixRequest(said, provider=PROVIDER, instrument=instrument)
    return f"{CRYPTO}:{base}{quote}"


def instrument_of(native: str) -> str | None:
    """Return our spelling of a symbol, None for one of another exchange or that our grammar can't spell."""
    exchange, colon, name = native.partition(":")
    if not colon:
        return native if is_instrument(native) and not is_pair(native) else None
    if exchange == FX:
        found = name.replace("_", "-")
    elif exchange == CRYPTO:
        ending = next((quote for quote in _CRYPTO_QUOTES if name.endswith(quote)), "")
        found = f"{name.removesuffix(ending)}-{ending}"
    else:
        return None
    return found if is_instrument(found) and is_pair(found) and _turns_back(found, native) else None


def share(instrument: str, dataset: str) -> str:
    """Return a share's symbol. Raises FixRequest for anything that has no such data."""
    if is_pair(validate(instrument)):
        said = f"{PROVIDER} has {dataset} of shares only, like AAPL; found {instrument!r}"
        raise FixRequest(said, provider=PROVIDER, instrument=instrument)
    return instrument


def economic_code(instrument: str) -> str:
    """Return the code of an economic series: dots stand for its hyphens."""
    return share(instrument, "observations").replace(".", "-")


def _turns_back(instrument: str, native: str) -> bool:
    try:
        return native_symbol(instrument) == native
    except FixRequest:
        return False
