"""Which instruments Binance lists, and its exchangeInfo: rate limits and the instruments with their filters.

Deliberately not here: which symbols a request asks for (`binance_parameters.py`).
Invariant: the limits named here are the ones the sandbox enforces.
Source: binance-spot-api-docs rest-api.md "Exchange information", state of 2026-07-21.
"""

from collections.abc import Iterable, Mapping

from sandbox.listings import LISTINGS

# Binance has no dollars: its pairs are in tethers and coins.
SYMBOLS = tuple(symbol for symbol, listing in LISTINGS.items() if listing.quote_asset != "USD")

_ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]


def exchange_info(symbols: Iterable[str], *, limits: Mapping[str, int], server_time: int) -> dict[str, object]:
    """Return the body of exchangeInfo for the given symbols."""
    return {
        "timezone": "UTC",
        "serverTime": server_time,
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limits["weight_per_minute"]),
            _rate_limit("RAW_REQUESTS", "MINUTE", 5, limits["raw_requests_per_5_minutes"]),
        ],
        "exchangeFilters": [],
        "symbols": [_instrument(symbol) for symbol in symbols],
    }


def _rate_limit(kind: str, interval: str, count: int, limit: int) -> dict[str, object]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


def _instrument(symbol: str) -> dict[str, object]:
    listing = LISTINGS[symbol]
    tick, step = _unit(listing.tick_decimals), _unit(listing.step_decimals)
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": listing.base_asset,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote_asset,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000000.00000000", "stepSize": step},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _unit(decimals: int) -> str:
    whole = 10 ** (8 - decimals)
    return f"{whole // 10**8}.{whole % 10**8:08d}"
