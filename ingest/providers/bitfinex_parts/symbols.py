"""Bitfinex's symbols: `tBTCUSD`, with a colon where a leg is not of three characters (`tDOGE:USD`, `tBTCF0:USTF0`).

Deliberately not here: which pairs there are (its catalogue). Invariant: a symbol and its pair name each other, and a
pair of the paper market (`tTESTBTC:TESTUSD`) has no name of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ingest.errors import FixRequest
from ingest.market.symbols import is_instrument, is_pair, legs, validate

#: Its names of assets -> everybody else's, as `conf/pub:map:currency:sym` has them. A snapshot: an asset that is not
#: here goes by its own name. Perpetuals keep theirs (`BTCF0-USTF0`).
#: Source: https://docs.bitfinex.com/reference/rest-public-conf and ccxt/ccxt bitfinex.py, autumn 2026.
_OURS = {"UST": "USDT", "UDC": "USDC", "TSD": "TUSD", "EUT": "EURT", "EUS": "EURS", "XCH": "XCHF"}
_OURS |= {"DSH": "DASH", "IOT": "IOTA", "QTM": "QTUM", "ALG": "ALGO", "AMP": "AMPL", "ATO": "ATOM", "DAT": "DATA"}
_OURS |= {"MNA": "MANA", "QSH": "QASH", "RBT": "RBTC", "SNG": "SNGLS", "STJ": "STORJ", "VSY": "VSYS", "WAX": "WAXP"}
_OURS |= {"YYW": "YOYOW"}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}
_SYMBOL = re.compile(r"t(?:([A-Z0-9]{3})([A-Z0-9]{3})|([A-Z0-9]+):([A-Z0-9]+))", re.ASCII)
#: Paper trading, and the pair that its own tests use. Source: its list of pairs, autumn 2026.
_TEST_LEG, _TEST_PAIR = "TEST", ("AAA", "BBB")


def native_symbol(instrument: str) -> str:
    """Return the symbol: `BTC-USDT` is `tBTCUST`. Raises FixRequest for anything but a pair in our spelling."""
    if not is_pair(validate(instrument)):
        said = f"bitfinex has pairs only, like BTC-USD; found {instrument!r}"
        raise FixRequest(said, provider="bitfinex", instrument=instrument)
    pair = legs(instrument.strip())
    for leg in pair:
        if leg in _OURS:
            said = f"{leg} is {_OURS[leg]} here; found {instrument!r}"
            raise FixRequest(said, provider="bitfinex", instrument=instrument)
    if _is_test(pair):
        said = f"bitfinex's test pairs are no market; found {instrument!r}"
        raise FixRequest(said, provider="bitfinex", instrument=instrument)
    base, quote = (_THEIRS.get(leg, leg) for leg in pair)
    return f"t{base}{quote}" if len(base) == len(quote) == 3 else f"t{base}:{quote}"


def instrument_of(native: str) -> str | None:
    """Return the pair of a symbol; None for funding (`fUSD`), test pairs, and what our grammar can't spell."""
    found = _SYMBOL.fullmatch(native)
    if found is None:
        return None
    pair = [leg for leg in found.groups() if leg]
    instrument = "-".join(_OURS.get(leg, leg) for leg in pair)
    if _is_test(pair) or not is_instrument(instrument) or not is_pair(instrument):
        return None
    # `tDASH:USD` would be DASH-USD, which is `tDSHUSD`: an asset named as another one is elsewhere has no name here.
    return instrument if native_symbol(instrument) == native else None


def by_symbol(instruments: Iterable[str]) -> dict[str, str]:
    """Return symbol -> instrument, each once."""
    return {native_symbol(instrument): instrument.strip() for instrument in instruments}


def _is_test(pair: Iterable[str]) -> bool:
    base, quote = pair
    return base.startswith(_TEST_LEG) or quote.startswith(_TEST_LEG) or (base, quote) == _TEST_PAIR
