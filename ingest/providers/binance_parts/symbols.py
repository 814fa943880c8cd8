"""Binance's symbols: a pair's legs run together.

Deliberately not here: which pairs there are (its catalogue). Invariant: no two pairs of one query have one symbol.
"""

from __future__ import annotations

from collections.abc import Iterable

from ingest.errors import FixRequest
from ingest.market.symbols import is_instrument, is_pair, validate

#: What pairs are quoted in, a longer name before one that it ends with. From the names of assets, not from a list of
#: Binance's: a pair quoted in something else can be asked for all the same, and its symbol alone is not read back.
_QUOTES: tuple[str, ...] = (
    "FDUSD",
    "USDT",
    "USDC",
    "TUSD",
    "BUSD",
    "USDP",
    "USD1",
    "DAI",
    "EUR",
    "TRY",
    "BRL",
    "ARS",
    "COP",
    "CZK",
)
_QUOTES += ("JPY", "MXN", "PLN", "RON", "UAH", "ZAR", "GBP", "AUD", "BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "DOT")


def native_symbol(instrument: str) -> str:
    """Return the symbol: `BTC-USDT` is `BTCUSDT`. Raises FixRequest for anything but a pair."""
    if not is_pair(validate(instrument)):
        said = f"binance has pairs only, like BTC-USDT; found {instrument!r}"
        raise FixRequest(said, provider="binance", instrument=instrument)
    return instrument.replace("-", "")


def instrument_of(native: str) -> str | None:
    """Return the pair of a symbol, which has no separator: its quote is told by those that pairs are quoted in."""
    quote = next((one for one in _QUOTES if native.endswith(one) and len(native) > len(one)), None)
    pair = f"{native.removesuffix(quote)}-{quote}" if quote else ""
    return pair if is_instrument(pair) else None


def by_native(instruments: Iterable[str]) -> dict[str, str]:
    """Return native symbol -> instrument, each once. Two pairs with one native symbol could not be told apart."""
    natives: dict[str, str] = {}
    for instrument in instruments:
        native = native_symbol(instrument)
        if natives.setdefault(native, instrument) != instrument:
            said = f"{natives[native]} and {instrument} are both {native!r} at binance; ask for one of them"
            raise FixRequest(said, provider="binance", instrument=instrument)
    return natives
