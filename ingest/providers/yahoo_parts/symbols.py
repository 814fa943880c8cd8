"""Yahoo's symbols and our spelling of them.

    AAPL, BRK.B, BF.B     AAPL, BRK-B, BF-B       shares of the United States, a class behind a dot
    TSCO.LON, VOLV.B.ST   TSCO.L, VOLV-B.ST       other markets: their suffix, which we spell with more than one letter
    GSPC.INDX, ES.FUT     ^GSPC, ES=F             indices and futures
    EUR-USD, USD-JPY      EURUSD=X, JPY=X         two currencies; Yahoo leaves out a dollar that comes first
    BTC-USD               BTC-USD                 any other pair is of a coin

Deliberately not here: which of them exist. Invariant: `instrument_of` undoes `native_symbol`, for all it returns.
Source: https://help.yahoo.com/kb/SLN2310.html (suffixes of markets) and ranaroussi/yfinance, read autumn 2026.
"""

from __future__ import annotations

from ingest.errors import FixRequest
from ingest.market.symbols import is_instrument, is_pair, legs, validate

#: Our suffix -> Yahoo's. Those of one letter would pass for classes of shares (`BRK.B`), so they have names here.
_NAMED = {
    "LON": "L", "TYO": "T", "FRA": "F", "TRV": "V", "TRT": "TO", "DEX": "DE", "BSE": "BO", "SHH": "SS", "SHZ": "SZ"
}  # fmt: skip
_AS_THEY_ARE = (
    "AS", "AT", "AX", "BA", "BE", "BK", "BR", "CA", "CN", "CO", "DU", "HA", "HE", "HK", "HM", "IC", "IL", "IR", "IS",
    "JK", "JO", "KL", "KQ", "KS", "LS", "MC", "MI", "MU", "MX", "NE", "NS", "NZ", "OL", "PA", "PR", "QA", "SA", "SG",
    "SI", "SN", "SR", "ST", "SW", "TA", "TL", "TW", "TWO", "VI", "VS", "WA",
)  # fmt: skip
_MARKETS = _NAMED | {name: name for name in _AS_THEY_ARE}
_MARKET_OF = {theirs: ours for ours, theirs in _MARKETS.items()}
_INDEX, _FUTURE = "INDX", "FUT"
#: Money that is traded against other money as `EURUSD=X`; a pair with another leg is of a coin.
_MONEY = frozenset((
    "AED", "ARS", "AUD", "BGN", "BHD", "BRL", "CAD", "CHF", "CLP", "CNH", "CNY", "COP", "CZK", "DKK", "EGP", "EUR",
    "GBP", "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JPY", "KRW", "KWD", "MAD", "MXN", "MYR", "NGN", "NOK", "NZD",
    "OMR", "PEN", "PHP", "PKR", "PLN", "QAR", "RON", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD",
    "VND", "ZAR",
))  # fmt: skip
#: A class of shares has one letter or two (`BRK-B`, `ABC-WT`), what a coin is paid with at least three.
_PAIR_LETTERS = 3


def native_symbol(instrument: str) -> str:
    """Return Yahoo's symbol. Raises FixRequest for what is no instrument, or none that Yahoo could spell."""
    name = validate(instrument)
    if is_pair(name):
        base, quote = legs(name)
        if base in _MONEY and quote in _MONEY:
            return f"{quote}=X" if base == "USD" else f"{base}{quote}=X"
        native = name
    else:
        stem, _, last = name.rpartition(".")
        stem = stem.replace(".", "-")
        if not stem:
            native = last
        elif last == _INDEX:
            native = f"^{stem}"
        elif last == _FUTURE:
            native = f"{stem}=F"
        else:
            native = f"{stem}.{_MARKETS[last]}" if last in _MARKETS else f"{stem}-{last}"
    if _spelled(native) != name:
        said = f"yahoo has no symbol that could be {instrument!r}; see ingest/providers/yahoo_parts/symbols.py"
        raise FixRequest(said, provider="yahoo", instrument=instrument)
    return native


def instrument_of(native: str) -> str | None:
    """Return our spelling of a symbol, None where our grammar or this table has none."""
    name = _spelled(native)
    return name if name is not None and is_instrument(name) else None


def _spelled(native: str) -> str | None:
    if native.startswith("^"):
        return _single(native[1:], _INDEX)
    if native.endswith("=F"):
        return _single(native[:-2], _FUTURE)
    if native.endswith("=X"):
        return _money_pair(native[:-2])
    stem, dot, suffix = native.rpartition(".")
    if dot:
        return _single(stem, _MARKET_OF[suffix]) if suffix in _MARKET_OF else None
    return _spelled_without_dot(native)


def _spelled_without_dot(native: str) -> str | None:
    first, hyphen, last = native.partition("-")
    if hyphen and len(last) < _PAIR_LETTERS:
        return None if last in _MARKETS else native.replace("-", ".")
    return None if first in _MONEY and last in _MONEY else native


def _single(stem: str, suffix: str) -> str | None:
    return f"{stem.replace('-', '.')}.{suffix}" if stem else None


def _money_pair(name: str) -> str | None:
    base, quote = ("USD", name) if len(name) == 3 else (name[:3], name[3:])
    return f"{base}-{quote}" if base in _MONEY and quote in _MONEY else None
