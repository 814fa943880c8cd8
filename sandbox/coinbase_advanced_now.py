"""What Coinbase Advanced Trade says of the present: the newest trades with the best prices beside them, and a book.

Deliberately not here: parameters and errors (`dialects/coinbase_advanced.py`).
Invariant: numbers are printed as that API prints them, without zeros at their end.

Source: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public (get-public-market-trades,
get-public-product-book), read 2026-11-30. What a trade's empty bid and ask look like: nautechsystems/nautilus_trader.
"""

from collections.abc import Mapping, Sequence

from sandbox.coinbase_market import PRODUCTS, CoinbaseMarket
from sandbox.contract import Example
from sandbox.digits import json_number
from sandbox.listings import LISTINGS
from sandbox.moments import NS_PER_MS, NS_PER_US, iso

#: Levels a side that a client keeps.
_KEPT_LEVELS = 100


def ticker(market: CoinbaseMarket, product: str, count: int, *, now_ms: int) -> dict[str, object]:
    """Return the newest trades, newest first, and the best prices."""
    quote = market.walk.quote(PRODUCTS[product], now_ms)
    trades = [
        {
            "trade_id": str(trade.id),
            "product_id": product,
            "price": _price(product, trade.price),
            "size": json_number(trade.size, LISTINGS[PRODUCTS[product]].step_decimals),
            "time": iso(trade.time_us * NS_PER_US),
            "side": "BUY" if trade.taker_buys else "SELL",
            "bid": "",
            "ask": "",
            "exchange": "coinbase",
        }
        for trade in reversed(market.trades_before(product, None, count, now_ms=now_ms))
    ]
    return {"trades": trades, "best_bid": _price(product, quote.bid), "best_ask": _price(product, quote.ask)}


def book(market: CoinbaseMarket, product: str, levels: int, *, now_ms: int) -> dict[str, object]:
    """Return the best levels of a product's book; of the texts beside it nothing is simulated."""
    sides = {
        name: [{"price": price, "size": size} for price, size in side]
        for name, side in _sides(market, product, levels, now_ms).items()
    }
    pricebook = {"product_id": product, **sides, "time": iso(now_ms * NS_PER_MS)}
    return {"pricebook": pricebook, "last": "", "mid_market": "", "spread_bps": "", "spread_absolute": ""}


def row_of_now(market: CoinbaseMarket, example: Example, *, now_ms: int) -> dict[str, str | None]:
    """Return the quote, which has neither a time of its own nor sizes, or the best hundred levels of the book."""
    product = example.instrument
    if example.dataset == "quotes":
        quote = market.walk.quote(PRODUCTS[product], now_ms)
        (last,) = market.trades_before(product, None, 1, now_ms=now_ms)
        prices = {"bid": quote.bid, "ask": quote.ask, "last": last.price}
        return {name: _price(product, ticks) for name, ticks in prices.items()}
    row: dict[str, str | None] = {"ts": iso(now_ms * NS_PER_MS)}
    for name, side in _sides(market, product, _KEPT_LEVELS, now_ms).items():
        row[f"{name[:-1]}_prices"] = ",".join(price for price, _ in side)
        row[f"{name[:-1]}_sizes"] = ",".join(size for _, size in side)
    return row


def _sides(market: CoinbaseMarket, product: str, levels: int, now_ms: int) -> Mapping[str, Sequence[tuple[str, str]]]:
    found, decimals = market.walk.book(PRODUCTS[product], now_ms, levels), LISTINGS[PRODUCTS[product]].step_decimals
    return {
        name: [(_price(product, price), json_number(size, decimals)) for price, size in side]
        for name, side in (("bids", found.bids), ("asks", found.asks))
    }


def _price(product: str, ticks: int) -> str:
    return json_number(ticks, LISTINGS[PRODUCTS[product]].tick_decimals)
