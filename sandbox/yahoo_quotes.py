"""Yahoo's `/v7/finance/quote`: a cookie and its crumb are demanded together; unknown symbols are left out.

Deliberately not here: how cookie and crumb are given out, which other hosts do (`fc.yahoo.com`); quoteSummary.
Invariant: who lacks one of the two, or has two that don't belong together, gets a 401 and no quote.
Sources, read autumn 2026: https://github.com/ranaroussi/yfinance (data.py, scrapers/quote.py).
"""

import json
from http.cookies import SimpleCookie

from sandbox.contract import Request
from sandbox.yahoo_market import SYMBOLS, Symbol, YahooMarket

PATH = "/v7/finance/quote"
#: The one pair that belongs together here.
COOKIE, CRUMB = "sandbox-key", "sandbox-key"


def refusal_of(request: Request) -> str | None:
    """Return what a 401 says of the request's credential, None where both parts are right."""
    cookie = SimpleCookie(request.headers.get("cookie", "")).get("A3")
    if cookie is None and not request.query.get("crumb"):
        return "User is unable to access this feature - https://bit.ly/yahoo-finance-api-feedback"
    is_pair = cookie is not None and cookie.value == COOKIE and request.query.get("crumb") == CRUMB
    return None if is_pair else "Invalid Crumb"


def quotes(market: YahooMarket, request: Request) -> bytes:
    """Print the quotes of the symbols that are known, in the order in which they were asked for."""
    asked = request.query.get("symbols", "").upper().split(",")
    found = [_quote(market, SYMBOLS[name], request.now_s) for name in asked if name in SYMBOLS]
    return f'{{"quoteResponse":{{"result":[{",".join(found)}],"error":null}}}}'.encode()


def prices(market: YahooMarket, symbol: Symbol, *, now_s: float) -> dict[str, str]:
    """Return last price, bid and ask; an index has neither of these."""
    last = str(market.newest(symbol, now_s=now_s).close)
    if symbol.kind == "INDEX":
        return {"last": last}
    return {"last": last, "bid": repr(float(last) * 0.9999), "ask": repr(float(last) * 1.0001)}


def _quote(market: YahooMarket, symbol: Symbol, now_s: float) -> str:
    known = prices(market, symbol, now_s=now_s)
    about = {
        "language": "en-US",
        "quoteType": symbol.kind,
        "currency": symbol.currency,
        "marketState": "REGULAR",
        "exchange": symbol.exchange,
        "exchangeTimezoneName": symbol.zone,
        "shortName": symbol.name,
        "priceHint": 4 if symbol.kind == "CURRENCY" else 2,
    }
    names = {"last": "regularMarketPrice", "bid": "bid", "ask": "ask"}
    numbers = [f'"{names[name]}":{price}' for name, price in known.items()]
    sizes = ['"bidSize":1', '"askSize":2'] if "bid" in known else []
    time = f'"regularMarketTime":{market.newest(symbol, now_s=now_s).ts}'
    head = json.dumps(about, separators=(",", ":"))[:-1]
    return ",".join([head, *numbers, *sizes, time, f'"symbol":{json.dumps(symbol.native)}}}'])
