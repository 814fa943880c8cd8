"""Alpha Vantage's answers about prices: labelled and numbered cells under local times, the newest row first.

Deliberately not here: keys, limits, news and economic indicators (`dialects/alpha_vantage.py`).
Invariant: a cell is the market's own text.
"""

from datetime import UTC, date, datetime, timedelta

from sandbox.alpha_vantage_market import COINS, MONEY, NEW_YORK, SHARES, Adjusted, AlphaVantageMarket, Row
from sandbox.alpha_vantage_parameters import FULL, PREMIUM, SentenceError, invalid, month_of, one_of, truth, width_of
from sandbox.contract import Request

COMPACT_ROWS = 100


class PricePages:
    """The functions about prices; `limits` are the dialect's dials."""

    def __init__(self, market: AlphaVantageMarket, limits: dict[str, int]) -> None:
        self._market, self.limits = market, limits

    def _premium(self) -> None:
        if not self.limits["entitled"]:
            raise SentenceError("Information", PREMIUM)

    def _size(self, request: Request, function: str, *, full_is_premium: bool) -> bool:
        """Say whether everything is asked for; the default is the latest 100."""
        size = request.query.get("outputsize", "compact")
        if size not in ("compact", "full"):
            raise invalid(function)
        if size == "full" and full_is_premium and not self.limits["entitled"]:
            raise SentenceError("Information", FULL.format(function))
        return size == "full"

    def intraday(self, request: Request) -> object:
        """Return a share's minutes: the newest 100, 30 days with `full`, or those of a month with `month`."""
        name = "TIME_SERIES_INTRADAY"
        share, width = one_of(request, "symbol", SHARES, name), width_of(request, name)
        extended = truth(request, "extended_hours", name)
        truth(request, "adjusted", name)
        self._premium()
        is_full = self._size(request, name, full_is_premium=True)
        today = datetime.fromtimestamp(request.now_s, NEW_YORK).date()
        first, end = today - timedelta(days=self.limits["minutes_days"]), today + timedelta(days=1)
        if "month" in request.query:
            first, end = month_of(request.query["month"], name)
        rows = self._market.minutes(share, width, first, end, extended=extended, now_s=request.now_s)
        if not rows:
            raise invalid(name)
        text = f"Intraday ({request.query['interval']}) open, high, low, close prices and volume"
        more = {"4. Interval": request.query["interval"], "5. Output Size": "Full size" if is_full else "Compact"}
        shown = rows if is_full else rows[-COMPACT_ROWS:]
        meta = {"1. Information": text, "2. Symbol": share, "3. Last Refreshed": _local(shown[-1].at)}
        series = {_local(row.at): _cells(row) for row in reversed(shown)}
        return {
            "Meta Data": meta | more | {"6. Time Zone": "US/Eastern"},
            f"Time Series ({request.query['interval']})": series,
        }

    def daily(self, request: Request) -> object:
        name = request.query["function"]
        share = one_of(request, "symbol", SHARES, name)
        if name == "TIME_SERIES_DAILY_ADJUSTED":
            self._premium()
        is_full = self._size(request, name, full_is_premium=True)
        rows = self._market.days(share)
        shown = rows if is_full else rows[-COMPACT_ROWS:]
        text = "Daily Prices (open, high, low, close) and Volumes"
        if name == "TIME_SERIES_DAILY_ADJUSTED":
            text = "Daily Time Series with Splits and Dividend Events"
        meta = {
            "1. Information": text,
            "2. Symbol": share,
            "3. Last Refreshed": str(shown[-1][0].at),
            "4. Output Size": "Full size" if is_full else "Compact",
            "5. Time Zone": "US/Eastern",
        }
        cells = _adjusted_cells if name == "TIME_SERIES_DAILY_ADJUSTED" else lambda row, _: _cells(row)
        return {
            "Meta Data": meta,
            "Time Series (Daily)": {str(row.at): cells(row, more) for row, more in reversed(shown)},
        }

    def quote(self, request: Request) -> object:
        """Return the last day's figures; an unknown symbol gets an empty quote."""
        share = request.query.get("symbol", "")
        if not share:
            raise invalid("GLOBAL_QUOTE")
        if share not in SHARES:
            return {"Global Quote": {}}
        (before, _), (last, _) = self._market.days(share)[-2:]
        change = float(last.close) - float(before.close)
        return {
            "Global Quote": {
                "01. symbol": share,
                "02. open": last.open,
                "03. high": last.high,
                "04. low": last.low,
                "05. price": last.close,
                "06. volume": last.volume,
                "07. latest trading day": str(last.at),
                "08. previous close": before.close,
                "09. change": f"{change:.4f}",
                "10. change percent": f"{change / float(before.close) * 100:.4f}%",
            }
        }

    def rate(self, request: Request) -> object:
        base, quote = request.query.get("from_currency", ""), request.query.get("to_currency", "")
        found = self._market.rate(f"{base}/{quote}", request.now_s)
        if found is None:
            raise invalid("CURRENCY_EXCHANGE_RATE")
        rate, bid, ask, at = found
        return {
            "Realtime Currency Exchange Rate": {
                "1. From_Currency Code": base,
                "2. From_Currency Name": base,
                "3. To_Currency Code": quote,
                "4. To_Currency Name": quote,
                "5. Exchange Rate": rate,
                "6. Last Refreshed": _utc(at),
                "7. Time Zone": "UTC",
                "8. Bid Price": bid,
                "9. Ask Price": ask,
            }
        }

    def money(self, request: Request) -> object:
        name = request.query["function"]
        pair = f"{request.query.get('from_symbol')}/{request.query.get('to_symbol')}"
        width = width_of(request, name) if name == "FX_INTRADAY" else 0
        if pair not in MONEY:
            raise invalid(name)
        if width:
            self._premium()
        is_full = self._size(request, name, full_is_premium=bool(width))
        size = "Full size" if is_full else "Compact"
        base, quote = pair.split("/")
        first_minute = int(request.now_s // 60) - self.limits["minutes_days"] * 1_440
        if width:
            rows = self._market.money_minutes(pair, width, first_minute, request.now_s)
            head = {"1. Information": f"FX Intraday ({request.query['interval']}) Time Series"}
            tail = {"5. Interval": request.query["interval"], "6. Output Size": size, "7. Time Zone": "UTC"}
        else:
            today = datetime.fromtimestamp(request.now_s, UTC).date()
            rows = self._market.money_days(pair, date(2000, 1, 1), today + timedelta(days=1))
            head = {"1. Information": "Forex Daily Prices (open, high, low, close)"}
            tail = {"4. Output Size": size, "6. Time Zone": "UTC"}
        shown = rows if is_full else rows[-COMPACT_ROWS:]
        legs = {"2. From Symbol": base, "3. To Symbol": quote, "5. Last Refreshed": _when(shown[-1].at)}
        series = {_when(row.at): _cells(row) for row in reversed(shown)}
        label = request.query["interval"] if width else "Daily"
        return {"Meta Data": head | legs | tail, f"Time Series FX ({label})": series}

    def coin(self, request: Request) -> object:
        name = request.query["function"]
        coin, market = one_of(request, "symbol", COINS, name), one_of(request, "market", ("USD",), name)
        width = width_of(request, name) if name == "CRYPTO_INTRADAY" else 1_440
        if width < 1_440:
            self._premium()
        is_full = width == 1_440 or self._size(request, name, full_is_premium=True)
        days = self.limits["coin_days" if width == 1_440 else "minutes_days"]
        rows = self._market.coin_rows(coin, width, int(request.now_s // 60) - days * 1_440, request.now_s)
        shown = rows if is_full else rows[-COMPACT_ROWS:]
        label = "Digital Currency Daily" if width == 1_440 else f"Crypto ({request.query['interval']})"
        meta = {
            "1. Information": "Daily Prices and Volumes for Digital Currency" if width == 1_440 else label,
            "2. Digital Currency Code": coin,
            "4. Market Code": market,
            "6. Last Refreshed": _when(shown[-1].at),
            "7. Time Zone": "UTC",
        }
        series = {_when(row.at): _cells(row) for row in reversed(shown)}
        return {"Meta Data": meta, f"Time Series ({label})" if width == 1_440 else f"Time Series {label}": series}


def _cells(row: Row) -> dict[str, str]:
    cells = {"1. open": row.open, "2. high": row.high, "3. low": row.low, "4. close": row.close}
    return cells | ({"5. volume": row.volume} if row.volume else {})


def _adjusted_cells(row: Row, more: Adjusted) -> dict[str, str]:
    return {
        "1. open": row.open,
        "2. high": row.high,
        "3. low": row.low,
        "4. close": row.close,
        "5. adjusted close": more.close,
        "6. volume": row.volume,
        "7. dividend amount": more.dividend,
        "8. split coefficient": more.split,
    }


def _local(at: date | int) -> str:
    assert isinstance(at, int)
    return f"{datetime.fromtimestamp(at, NEW_YORK):%Y-%m-%d %H:%M:%S}"


def _utc(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def _when(at: date | int) -> str:
    return _utc(at) if isinstance(at, int) else str(at)
