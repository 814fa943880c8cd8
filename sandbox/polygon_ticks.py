"""Polygon's trades, quotes and books as the texts of their fields.

Deliberately not here: filters and paging (`dialects/polygon.py`). Invariant: ascending, nanoseconds as whole numbers.
Source: https://massive.com/docs/rest/stocks/trades-quotes, /crypto/trades-quotes, /forex/quotes, autumn 2026.
"""

from sandbox.polygon_market import Item, PolygonMarket, price, size, time_ns
from sandbox.trade_tape import Trade

#: One trade in so many is a fraction of a share.
_FRACTION_EVERY = 10
_LEVELS = 120
_TWO_EXCHANGES_EVERY = 3
_SECOND_NS = 1_000_000_000
Fields = dict[str, str]


def trades(market: PolygonMarket, item: Item, start_ns: int, end_ns: int, *, now_ms: int) -> list[Fields]:
    """Return the trades of `[start_ns, end_ns)`, ascending."""
    return [_trade(item, one) for one in market.trades(item, start_ns, end_ns, now_ms=now_ms)]


def _trade(item: Item, trade: Trade) -> Fields:
    ns = time_ns(trade)
    if item.market == "crypto":
        fields = {"conditions": f"[{2 if trade.taker_buys else 1}]", "exchange": "1", "id": f'"{trade.id}"'}
        return fields | {
            "participant_timestamp": str(ns),
            "price": price(item, trade.price),
            "size": size(item, trade.size),
        }
    fields = {"conditions": "[12,41]", "exchange": str(trade.id % 7 + 1), "id": f'"{trade.id // 7}"'}
    fields |= {"participant_timestamp": str(ns - 321_000), "price": price(item, trade.price)}
    fields |= {
        "sequence_number": str(sequence(trade)),
        "sip_timestamp": str(ns),
        "size": str(shares(trade)),
        "tape": "3",
    }
    return fields | ({"decimal_size": f'"{fraction(item, trade)}"'} if trade.id % _FRACTION_EVERY == 0 else {})


def sequence(trade: Trade) -> int:
    """Return a number that rises by more than one from trade to trade."""
    return trade.id * 3 + 1


def shares(trade: Trade) -> int:
    """Return whole shares: none where it is a fraction of one."""
    return 0 if trade.id % _FRACTION_EVERY == 0 else trade.size


def fraction(item: Item, trade: Trade) -> str:
    return f"0.{trade.size % 10_000:06d}"


def last_quote(market: PolygonMarket, item: Item, *, now_ms: int) -> Fields:
    """Return the newest best bid (small letters) and offer; it is of the last tenth of a second."""
    quote = market.walk.quote(item.symbol, now_ms)
    ns = str(now_ms // 100 * 100 * 1_000_000 + 730_349)
    fields = {"P": price(item, quote.ask), "S": str(quote.ask_size), "T": f'"{item.ticker}"', "X": "19"}
    fields |= {"p": price(item, quote.bid), "s": str(quote.bid_size), "q": str(now_ms // 100), "t": ns}
    return fields | {"x": "11", "y": ns, "z": "3"}


def quotes(market: PolygonMarket, item: Item, start_ns: int, end_ns: int, *, now_ms: int) -> list[Fields]:
    """Return a quote of each second of `[start_ns, end_ns)` until now, ascending; money has no sizes."""
    first, end = -(-start_ns // _SECOND_NS), min(-(-end_ns // _SECOND_NS), now_ms // 1000 + 1)
    rows = []
    for second in range(first, end):
        quote = market.walk.quote(item.symbol, second * 1000)
        row = {"ask_exchange": "48", "ask_price": price(item, quote.ask), "bid_exchange": "48"}
        rows.append(row | {"bid_price": price(item, quote.bid), "participant_timestamp": str(second * _SECOND_NS)})
    return rows


def book(market: PolygonMarket, item: Item, *, now_ms: int) -> dict[str, list[tuple[int, Fields]]]:
    """Return both sides, best first: (price in ticks, size by exchange); each third level stands on two exchanges."""
    found = market.walk.book(item.symbol, now_ms, _LEVELS)
    return {
        name: [(at, _by_exchange(item, nth, steps)) for nth, (at, steps) in enumerate(levels)]
        for name, levels in (("bids", found.bids), ("asks", found.asks))
    }


def _by_exchange(item: Item, nth: int, steps: int) -> Fields:
    if nth % _TWO_EXCHANGES_EVERY or steps < 2:
        return {"1": size(item, steps)}
    return {"1": size(item, steps // 2), "6": size(item, steps - steps // 2)}
