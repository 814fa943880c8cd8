"""Reconcile: which columns of two providers' bars are compared, and how far they may differ.

Deliberately not here: finding the bars and comparing them (models/agreement.py). Invariant: what is said of two
providers does not depend on which of them is named first.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ingest.market.intervals import seconds_of
from ingest.market.markets import CURRENCIES, METALS
from ingest.market.symbols import is_pair, legs

Kind = Literal["coins", "money", "shares"]
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Tolerances:
    """The largest relative difference that is none, by what is traded; 1 leaves it uncompared.

    The defaults are our choice. They are to find the wrong symbol, unit, scale, day or split, not the market's own
    differences.
    """

    #: Each exchange is a market of its own. Arbitrage keeps liquid pairs within tenths of a percent; a thin pair's last
    #: trade of a minute may be as far away as its spread is wide.
    coins: Decimal = Decimal("0.02")
    #: Nobody has all the trades: closes are the last quote of some dealer, and days end at midnight of London, New York
    #: or UTC.
    money: Decimal = Decimal("0.01")
    #: The same share: vendors agree to the cent on what the exchanges report; single venues' last trades differ more.
    shares: Decimal = Decimal("0.005")
    #: Vendors round it (FMP to hundreds), and count odd lots and late reports or not.
    volume: Decimal = Decimal("0.25")


@dataclass(frozen=True, slots=True)
class Side:
    """One provider's bars of an instrument. `adjustment` is what is worked into them; None where it is not known."""

    provider: str
    adjustment: str | None
    has_venue_volume: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """What may differ by how much; None is not compared. The open never is.

    "The SIPs don't give guidance on how to calculate open prices", and do so for high, low, close and volume.
    Source: https://forum.alpaca.markets/t/alpaca-market-data-so-bad/6037, autumn 2026.
    """

    close: Decimal | None = None
    #: high and low
    extremes: Decimal | None = None
    volume: Decimal | None = None

    @property
    def is_anything(self) -> bool:
        """Say whether anything is compared at all."""
        return (self.close, self.extremes, self.volume) != (None, None, None)


def kind_of(instrument: str) -> Kind:
    """Return what is traded, as far as the name tells."""
    if not is_pair(instrument):
        return "shares"
    return "money" if set(legs(instrument)) <= CURRENCIES | METALS else "coins"


def compared(instrument: str, interval: str, one: Side, other: Side, tolerances: Tolerances) -> Compared:
    """Return what is compared of two providers' bars; nothing where different things are worked into them."""
    kind = kind_of(instrument)
    if not same_adjustment(instrument, one.adjustment, other.adjustment):
        return Compared()
    price = _unless_off({"coins": tolerances.coins, "money": tolerances.money, "shares": tolerances.shares}[kind])
    if kind != "shares" or seconds_of(interval) < _DAY_S:
        # Markets of their own have highs, lows and volumes of their own, and minutes of shares may be one venue's.
        return Compared(close=price)
    is_one_market = not one.has_venue_volume and not other.has_venue_volume
    return Compared(price, price, _unless_off(tolerances.volume) if is_one_market else None)


def same_adjustment(instrument: str, one: str | None, other: str | None) -> bool:
    """Say whether two providers' prices can stand beside each other. Nobody splits a pair; what is unknown can't."""
    return is_pair(instrument) or (one is not None and one == other)


def span_of(interval: str) -> Literal["day", "year"]:
    """Return how much time one finding is about: of daily bars a year, or their history would be as many findings."""
    return "day" if seconds_of(interval) < _DAY_S else "year"


def _unless_off(tolerance: Decimal) -> Decimal | None:
    return tolerance if tolerance < 1 else None
