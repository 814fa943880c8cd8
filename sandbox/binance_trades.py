"""Binance's aggTrades, trades and depth: what a request of each asks for, and its body.

Deliberately not here: historicalTrades, which the market-data-only host does not serve.
Invariant: the same id is the same trade for ever, in `aggTrades` as in `trades`, whose ids are numbered apart.
Source: binance-spot-api-docs rest-api.md "Order book", "Recent trades list", "Compressed/Aggregate trades list" and
CHANGELOG.md, state of 2026-07-21.
"""

from collections.abc import Iterable, Mapping

from sandbox.binance_numbers import ONE_COIN, UNITS, decimal
from sandbox.binance_parameters import (
    RefusalError,
    limit_as_sent,
    limit_of,
    mandatory,
    refuse_other_status,
    refuse_unknown,
    symbol_of,
    time_ms,
    whole_number,
)
from sandbox.price_walk import PriceWalk
from sandbox.trade_tape import Trade, TradeTape

_AGG_PARAMETERS = frozenset({"symbol", "fromId", "startTime", "endTime", "limit"})
_RECENT_PARAMETERS = frozenset({"symbol", "limit"})
_DEPTH_PARAMETERS = frozenset({"symbol", "limit", "symbolStatus"})

# Every order here meets one other, so an aggregate is one trade; the trades' own ids are this much ahead, as they are
# in the documented example (a 26129, f 27781).
_IDS_AHEAD = 1652
_DEFAULT_LEVELS, _MAX_LEVELS = 100, 5000
# "1-100: 5, 101-500: 25, 501-1000: 50, 1001-5000: 250"
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (_MAX_LEVELS, 250))


def agg_trades(query: Mapping[str, str], tape: TradeTape, *, now_ms: int, time_scale: int) -> str:
    """Return the aggregate trades within the inclusive bounds, ascending.

    `fromId`: from there on. `startTime`: the oldest from there, cut at `endTime`. `endTime` alone: the newest up to
    it. None of them: the newest.
    """
    refuse_unknown(query, _AGG_PARAMETERS)
    symbol, limit = symbol_of(mandatory(query, "symbol")), limit_of(query)
    first_id, start_ms, end_ms = whole_number(query, "fromId"), time_ms(query, "startTime"), time_ms(query, "endTime")
    before_ms = now_ms if end_ms is None else min(end_ms + 1, now_ms)
    if first_id is not None:
        if start_ms is not None or end_ms is not None:
            # Our reading: no meaning is documented for both, and elsewhere such combinations are refused.
            raise RefusalError(-1128, "Combination of optional parameters invalid.")
        trades = tape.trades_from(symbol, first_id, limit, now_ms)
    elif start_ms is not None:
        trades = tape.trades_from(symbol, tape.first_id(symbol, min(start_ms, now_ms)), limit, before_ms)
    else:
        trades = tape.newest(symbol, limit, before_ms)
    return _joined(_agg_trade(symbol, trade, time_scale) for trade in trades)


def recent_trades(query: Mapping[str, str], tape: TradeTape, *, now_ms: int, time_scale: int) -> str:
    """Return the newest trades, ascending."""
    refuse_unknown(query, _RECENT_PARAMETERS)
    symbol, limit = symbol_of(mandatory(query, "symbol")), limit_of(query)
    return _joined(_trade(symbol, trade, time_scale) for trade in tape.newest(symbol, limit, now_ms))


def depth(query: Mapping[str, str], walk: PriceWalk, *, now_ms: int) -> str:
    """Return the best levels of the book; its id rises with each change, ten times a second."""
    refuse_unknown(query, _DEPTH_PARAMETERS)
    symbol = symbol_of(mandatory(query, "symbol"))
    levels = limit_of(query, default=_DEFAULT_LEVELS, maximum=_MAX_LEVELS)
    refuse_other_status(query)
    book = walk.book(symbol, now_ms, levels)
    bids, asks = (_joined(_level(symbol, *level) for level in side) for side in book)
    return f'{{"lastUpdateId":{now_ms // 100},"bids":{bids},"asks":{asks}}}'


def depth_weight(query: Mapping[str, str]) -> int:
    """Return what a depth request costs, refused or not."""
    levels = limit_as_sent(query, default=_DEFAULT_LEVELS)
    return next((weight for most, weight in _DEPTH_WEIGHTS if levels <= most), _DEPTH_WEIGHTS[-1][1])


def _agg_trade(symbol: str, trade: Trade, time_scale: int) -> str:
    price, size = _price_and_size(symbol, trade)
    trade_id = trade.id + _IDS_AHEAD
    return (
        f'{{"a":{trade.id},"p":"{price}","q":"{size}","f":{trade_id},"l":{trade_id},'
        f'"T":{_time(trade, time_scale)},"m":{_is_buyer_maker(trade)},"M":true}}'
    )


def _trade(symbol: str, trade: Trade, time_scale: int) -> str:
    price, size = _price_and_size(symbol, trade)
    tick, step = UNITS[symbol]
    worth = decimal(trade.price * trade.size * (tick * step // ONE_COIN))
    return (
        f'{{"id":{trade.id + _IDS_AHEAD},"price":"{price}","qty":"{size}","quoteQty":"{worth}",'
        f'"time":{_time(trade, time_scale)},"isBuyerMaker":{_is_buyer_maker(trade)},"isBestMatch":true}}'
    )


def _price_and_size(symbol: str, trade: Trade) -> tuple[str, str]:
    tick, step = UNITS[symbol]
    return decimal(trade.price * tick), decimal(trade.size * step)


def _time(trade: Trade, time_scale: int) -> int:
    return trade.time_us if time_scale == 1000 else trade.time_us // 1000


def _is_buyer_maker(trade: Trade) -> str:
    return "false" if trade.taker_buys else "true"


def _level(symbol: str, price: int, size: int) -> str:
    tick, step = UNITS[symbol]
    return f'["{decimal(price * tick)}","{decimal(size * step)}"]'


def _joined(rows: Iterable[str]) -> str:
    return f"[{','.join(rows)}]"
