"""Marketstack's symbols and our spelling of them.

    AAPL, BRK.B           AAPL, BRK-B             shares of the United States: "replace the period with a hyphen"
    TSCO.LON, VOLV.B.ST   TSCO.XLON, VOLV-B.XSTO  other markets: their MIC, for which there are names below
    ABC.XBUE              ABC.XBUE                and those without one

Deliberately not here: which of them exist. Invariant: `instrument_of` undoes `native_symbol`, for all it returns.
Source: https://marketstack.com/documentation_v2, read autumn 2026; the MIC behind a dot is what clients see.
"""

from __future__ import annotations

import re

from ingest.errors import FixRequest
from ingest.market.symbols import is_instrument, is_pair, validate

_NAME = "marketstack"
#: Our names of markets -> the MIC behind a symbol's dot. Source: ISO 10383.
_MARKETS = {
    "LON": "XLON", "DEX": "XETR", "FRA": "XFRA", "PA": "XPAR", "AS": "XAMS", "BR": "XBRU", "LS": "XLIS", "MI": "XMIL",
    "MC": "XMAD", "SW": "XSWX", "ST": "XSTO", "CO": "XCSE", "HE": "XHEL", "OL": "XOSL", "VI": "XWBO", "WA": "XWAR",
    "TRT": "XTSE", "TRV": "XTSX", "TYO": "XTKS", "HK": "XHKG", "SHH": "XSHG", "SHZ": "XSHE", "BSE": "XBOM",
    "NS": "XNSE", "AX": "XASX", "NZ": "XNZE", "SI": "XSES", "KS": "XKRX", "TW": "XTAI", "SA": "BVMF", "MX": "XMEX",
}  # fmt: skip
_MARKET_OF = {theirs: ours for ours, theirs in _MARKETS.items()}
_MIC = re.compile(r"X[A-Z]{3}", re.ASCII)


def native_symbol(instrument: str) -> str:
    """Return the symbol: `BRK.B` is `BRK-B`, `TSCO.LON` is `TSCO.XLON`. Raises FixRequest for a pair."""
    name = validate(instrument)
    if is_pair(name):
        said = f"{_NAME} has shares only, like AAPL, BRK.B or TSCO.LON; found {instrument!r}"
        raise FixRequest(said, provider=_NAME, instrument=instrument)
    stem, dot, suffix = name.rpartition(".")
    if dot and suffix in _MARKETS:
        return f"{stem.replace('.', '-')}.{_MARKETS[suffix]}"
    if dot and suffix in _MARKET_OF:
        said = f"{_NAME}: write {stem}.{_MARKET_OF[suffix]} for {instrument!r}"
        raise FixRequest(said, provider=_NAME, instrument=instrument)
    return f"{stem.replace('.', '-')}.{suffix}" if dot and _MIC.fullmatch(suffix) else name.replace(".", "-")


def instrument_of(native: str) -> str | None:
    """Return our spelling of a symbol, None where our grammar has none or the part behind its dash is a market's."""
    stem, dot, suffix = native.rpartition(".")
    if dot and (suffix in _MARKET_OF or _MIC.fullmatch(suffix)):
        name = f"{stem.replace('-', '.')}.{_MARKET_OF.get(suffix, suffix)}"
        return name if is_instrument(name) and not is_pair(name) else None
    name = native.replace("-", ".")
    last = name.rpartition(".")[2] if "." in name else ""
    is_market = last in _MARKETS or last in _MARKET_OF or _MIC.fullmatch(last)
    return name if is_instrument(name) and not is_market else None
