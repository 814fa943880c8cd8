"""Alpha Vantage's spelling of shares, pairs, economic series, tickers and topics of the news, and back.

Deliberately not here: what is asked for with a name (alpha_vantage.py). Invariant: `native` and `instrument_of` are
inverse to each other on whatever both accept.

    AAPL, BRK.B, TSCO.LON   AAPL, BRK-B, TSCO.LON      shares; one character after a dot is a class, more an exchange
    EUR-USD, BTC-USD        EUR/USD, BTC/USD           pairs; the API takes the legs apart
    TREASURY.10Y, REAL.GDP  TREASURY_YIELD:10year, ..  economic series (ECONOMIC)
    CRYPTO.BTC, FOREX.USD   CRYPTO:BTC, FOREX:USD      what articles are about, beside shares
    TOPIC.IPO               topic:ipo                  topics of articles (TOPICS)
"""

from __future__ import annotations

import re

from ingest.errors import FixRequest, UnknownName
from ingest.market.markets import CURRENCIES
from ingest.market.symbols import is_instrument, is_pair, legs, validate

PROVIDER = "alpha_vantage"

#: Our name -> function and what tells its variants apart. Source: https://www.alphavantage.co/documentation, Economic
#: Indicators, autumn 2026.
ECONOMIC: dict[str, tuple[str, str]] = {
    "REAL.GDP": ("REAL_GDP", "quarterly"),
    "REAL.GDP.ANNUAL": ("REAL_GDP", "annual"),
    "REAL.GDP.PER.CAPITA": ("REAL_GDP_PER_CAPITA", ""),
    "FEDERAL.FUNDS.RATE": ("FEDERAL_FUNDS_RATE", "daily"),
    "CPI": ("CPI", ""),
    "INFLATION": ("INFLATION", ""),
    "RETAIL.SALES": ("RETAIL_SALES", ""),
    "DURABLES": ("DURABLES", ""),
    "UNEMPLOYMENT": ("UNEMPLOYMENT", ""),
    "NONFARM.PAYROLL": ("NONFARM_PAYROLL", ""),
} | {
    f"TREASURY.{short}": ("TREASURY_YIELD", maturity)
    for short, maturity in (
        *(("3M", "3month"), ("2Y", "2year"), ("5Y", "5year")),
        *(("7Y", "7year"), ("10Y", "10year"), ("30Y", "30year")),
    )
}
#: Source: https://www.alphavantage.co/documentation, NEWS_SENTIMENT, autumn 2026.
TOPICS = (
    *("blockchain", "earnings", "ipo", "mergers_and_acquisitions", "financial_markets", "economy_fiscal"),
    *("economy_monetary", "economy_macro", "energy_transportation", "finance", "life_sciences", "manufacturing"),
    *("real_estate", "retail_wholesale", "technology"),
)

_ECONOMIC_OF = {f"{function}:{kind}" if kind else function: name for name, (function, kind) in ECONOMIC.items()}
_TOPIC_OF = {f"TOPIC.{topic.upper().replace('_', '.')}": topic for topic in TOPICS}
_ABOUT = re.compile(r"(CRYPTO|FOREX)\.([A-Z0-9]+)", re.ASCII)
_ABOUT_NATIVE = re.compile(r"(CRYPTO|FOREX):([A-Z0-9]+)", re.ASCII)
#: A class is one character after a hyphen, an exchange two or more after a dot.
_SHARE_NATIVE = re.compile(r"[A-Z0-9]+(?:-[A-Z0-9]|\.[A-Z0-9]{2,})*", re.ASCII)


def native(instrument: str) -> str:
    """Return the spelling there. Raises FixRequest for what is no instrument."""
    name = validate(instrument)
    if is_pair(name):
        return "/".join(legs(name))
    if name in ECONOMIC:
        function, kind = ECONOMIC[name]
        return f"{function}:{kind}" if kind else function
    if name.startswith("TOPIC."):
        return f"topic:{topic(name)}"
    coin = _ABOUT.fullmatch(name)
    return f"{coin[1]}:{coin[2]}" if coin else share(name)


def instrument_of(native_name: str) -> str | None:
    """Return our name, None where our grammar has none for it."""
    if native_name in _ECONOMIC_OF:
        return _ECONOMIC_OF[native_name]
    if native_name.startswith("topic:"):
        name = f"TOPIC.{native_name[6:].upper().replace('_', '.')}"
        return name if _TOPIC_OF.get(name) == native_name[6:] else None
    if "/" in native_name:
        name = native_name.replace("/", "-")
        return name if native_name.count("/") == 1 and is_instrument(name) else None
    coin = _ABOUT_NATIVE.fullmatch(native_name)
    if coin is None and _SHARE_NATIVE.fullmatch(native_name) is None:
        return None
    name = re.sub("[:-]", ".", native_name)
    return name if is_instrument(name) and (coin or not _is_taken(name)) else None


def share(instrument: str) -> str:
    """Return the symbol of a share: `BRK.B` is `BRK-B`, `TSCO.LON` is itself. Raises FixRequest for what is none."""
    name = validate(instrument)
    if is_pair(name) or _is_taken(name):
        said = f"{PROVIDER}: expected a share like AAPL, BRK.B or TSCO.LON; found {name}"
        raise FixRequest(said, provider=PROVIDER, instrument=name)
    first, *rest = name.split(".")
    return first + "".join(f"-{part}" if len(part) == 1 else f".{part}" for part in rest)


def about(instrument: str) -> str:
    """Return how the news name a share, coin or currency. Raises FixRequest for a pair and anything else."""
    return native(instrument) if _ABOUT.fullmatch(instrument) else share(instrument)


def topic(instrument: str) -> str:
    """Return the topic of `TOPIC.IPO`. Raises UnknownName, which lists them all."""
    if instrument not in _TOPIC_OF:
        raise UnknownName("instrument", instrument, tuple(_TOPIC_OF), provider=PROVIDER)
    return _TOPIC_OF[instrument]


def money(pair: str) -> tuple[str, str, bool]:
    """Return a pair's legs, and whether both are currencies of states (else the first is a coin)."""
    base, quote = legs(pair)
    return base, quote, base in CURRENCIES and quote in CURRENCIES


def _is_taken(name: str) -> bool:
    """Say whether a name with dots means something else than a share and its class or exchange."""
    first, dot, _ = name.partition(".")
    return bool(dot) and (name in ECONOMIC or first in ("CRYPTO", "FOREX", "TOPIC"))
