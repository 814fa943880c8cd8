"""The instruments of the synthetic market: names, steps, typical prices and sizes.

Deliberately not here: how they move (`price_walk.py`), which of them a provider lists and how (`dialects/`).
Invariant: tick and step decimals add up to at most 8, so that every quote volume prints exactly with 8 decimals.
"""

from dataclasses import dataclass

# 2017-08-17 00:00 UTC, the day Binance's oldest pairs were listed.
LISTED_SINCE_MS = 1_502_928_000_000


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument: `typical_price` in ticks, `minute_volume` in lot steps, `minute_trades` the usual extra count."""

    base_asset: str
    quote_asset: str
    tick_decimals: int
    step_decimals: int
    typical_price: int
    minute_volume: int
    minute_trades: int


LISTINGS: dict[str, Listing] = {
    "BTCUSDT": Listing("BTC", "USDT", 2, 5, 4_000_000, 1_800_000, 2_400),
    "ETHUSDT": Listing("ETH", "USDT", 2, 4, 200_000, 2_500_000, 1_600),
    "SOLUSDT": Listing("SOL", "USDT", 2, 3, 9_000, 3_000_000, 900),
    "BNBUSDT": Listing("BNB", "USDT", 2, 3, 30_000, 400_000, 500),
    "XRPUSDT": Listing("XRP", "USDT", 4, 1, 6_000, 2_000_000, 500),
    "ADAUSDT": Listing("ADA", "USDT", 4, 1, 5_000, 1_200_000, 300),
    "DOGEUSDT": Listing("DOGE", "USDT", 5, 0, 11_000, 600_000, 400),
    "LTCUSDT": Listing("LTC", "USDT", 2, 3, 9_000, 150_000, 200),
    "DOTUSDT": Listing("DOT", "USDT", 3, 2, 6_500, 300_000, 200),
    "LINKUSDT": Listing("LINK", "USDT", 2, 2, 1_500, 250_000, 250),
    "AVAXUSDT": Listing("AVAX", "USDT", 2, 2, 3_500, 200_000, 250),
    "TRXUSDT": Listing("TRX", "USDT", 4, 1, 1_200, 5_000_000, 200),
    "UNIUSDT": Listing("UNI", "USDT", 3, 2, 8_000, 120_000, 150),
    "ATOMUSDT": Listing("ATOM", "USDT", 3, 2, 9_500, 150_000, 150),
    "BNBBTC": Listing("BNB", "BTC", 6, 2, 8_000, 2_000, 60),
    "ETHBTC": Listing("ETH", "BTC", 5, 3, 5_000, 40_000, 120),
    "BTCUSD": Listing("BTC", "USD", 2, 5, 4_000_000, 500_000, 1_000),
    "ETHUSD": Listing("ETH", "USD", 2, 4, 200_000, 800_000, 700),
    "SOLUSD": Listing("SOL", "USD", 2, 3, 9_000, 900_000, 400),
    "XRPUSD": Listing("XRP", "USD", 4, 1, 6_000, 800_000, 300),
    "ADAUSD": Listing("ADA", "USD", 4, 1, 5_000, 500_000, 200),
    "DOGEUSD": Listing("DOGE", "USD", 5, 0, 11_000, 300_000, 200),
    "LTCUSD": Listing("LTC", "USD", 2, 3, 9_000, 80_000, 120),
}
