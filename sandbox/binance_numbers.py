"""Print the synthetic market's whole ticks and lot steps as Binance does, always with eight decimals.

Deliberately not here: the bodies they stand in. Invariant: every number is exact.
"""

from sandbox.listings import LISTINGS

ONE_COIN = 10**8

# The tick and the lot step per symbol, in units of the eighth decimal.
UNITS = {
    symbol: (10 ** (8 - listing.tick_decimals), 10 ** (8 - listing.step_decimals))
    for symbol, listing in LISTINGS.items()
}


def decimal(eighths: int) -> str:
    """Print a number of eighth decimals."""
    return f"{eighths // ONE_COIN}.{eighths % ONE_COIN:08d}"
