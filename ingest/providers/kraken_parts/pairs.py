"""Kraken's names of a pair: the one to ask with, and all that an answer may come under.

Deliberately not here: which pairs there are (its catalogue). Invariant: a name is told by its legs, so `XXBTZUSD`,
`XBTUSD` and `XBT/USD` are BTC-USD and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from ingest.errors import FixRequest
from ingest.market.symbols import is_instrument, is_pair, legs, validate

#: Assets it calls otherwise. Source, of this and the next: https://docs.kraken.com/api-reference/market-data
#: (get-asset-info, get-tradable-asset-pairs), read 2026-11-24.
_SPELLINGS = {"BTC": "XBT", "DOGE": "XDG"}
#: What pairs are quoted in, a longer name before one that it ends with.
_QUOTES: tuple[str, ...] = ("USDT", "USDC", "USDQ", "USDR", "PYUSD", "RLUSD", "EURT", "EURR", "EURQ", "EUROP")
_QUOTES += ("USD", "EUR", "GBP", "AUD", "CAD", "CHF", "JPY", "XBT", "ETH", "DAI", "DOT", "SOL")
_OURS = {theirs: ours for ours, theirs in _SPELLINGS.items()}
#: Its oldest assets have a letter before their name in the answers: X a coin, Z money.
_PREFIXES = dict.fromkeys(("ETC", "ETH", "LTC", "MLN", "REP", "XBT", "XDG", "XLM", "XMR", "XRP", "ZEC"), "X")
_PREFIXES |= dict.fromkeys(("AUD", "CAD", "EUR", "GBP", "JPY", "USD"), "Z")


def altname(instrument: str) -> str:
    """Return the name to ask with: `BTC-USD` is `XBTUSD`. Raises FixRequest for anything but a pair in our spelling."""
    if not is_pair(validate(instrument)):
        said = f"kraken has pairs only, like BTC-USD; found {instrument!r}"
        raise FixRequest(said, provider="kraken", instrument=instrument)
    pair = legs(instrument.strip())
    for leg in pair:
        if leg in _OURS:
            said = f"{leg} is {_OURS[leg]} here; found {instrument!r}"
            raise FixRequest(said, provider="kraken", instrument=instrument)
    return "".join(_SPELLINGS.get(leg, leg) for leg in pair)


def instrument_of(websocket_name: str) -> str:
    """Return the instrument of `XBT/USD` in our spelling, which our grammar need not allow."""
    return "-".join(_OURS.get(leg, leg) for leg in websocket_name.split("/"))


def instrument_named(native: str) -> str | None:
    """Return the pair of `XBT/USD`, or of `XBTUSD` where its quote is one of those that coins are quoted in."""
    name = native
    if "/" not in native:
        quote = next((one for one in _QUOTES if native.endswith(one) and len(native) > len(one)), None)
        name = f"{native.removesuffix(quote)}/{quote}" if quote else native
    found = instrument_of(name)
    return found if is_instrument(found) and is_pair(found) and altname(found) == native.replace("/", "") else None


def by_altname(instruments: Iterable[str]) -> dict[str, str]:
    """Return altname -> instrument, each once. Two pairs with one altname could not be told apart."""
    pairs: dict[str, str] = {}
    for instrument in instruments:
        name = altname(instrument)
        if pairs.setdefault(name, instrument) != instrument:
            said = f"{pairs[name]} and {instrument} are both {name!r} at kraken; ask for one of them"
            raise FixRequest(said, provider="kraken", instrument=instrument)
    return pairs


def by_any_name(instruments: Iterable[str]) -> dict[str, str]:
    """Return every name an answer may give these pairs -> instrument; one's altname goes before another's alias."""
    names = by_altname(instruments)
    for instrument in tuple(names.values()):
        base, quote = map(_leg_names, legs(instrument.strip()))
        for name in (first + mark + second for first in base for second in quote for mark in ("", "/")):
            names.setdefault(name, instrument)
    return names


def _leg_names(leg: str) -> tuple[str, ...]:
    theirs = _SPELLINGS.get(leg, leg)
    return leg, theirs, _PREFIXES.get(theirs, "") + theirs
