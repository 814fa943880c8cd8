"""What Yahoo lists in the sandbox: symbols, their sessions, bars, events and newest prices.

IBM and FB have the real daily bars of the wheel `bokeh_sampledata` (`wiki_prices.py`), to 2013-03-01; neither was
split since, so Yahoo's close is theirs. `^IXIC` has those of the wheel `arch`, which are Yahoo's own of 1999 to 2018,
where that is installed. All else is synthetic and a function of seed, symbol and time: the prices of a
coin of `price_walk.py` within the sessions; AAPL's two splits are the real ones, its dividends are not.
Deliberately not here: how a chart is printed (`dialects/yahoo.py`).
Invariant: a bar opens within a session, at a multiple of its width from the session's open in the exchange's zone.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.price_walk import PriceWalk
from sandbox.wheel_files import arch_rows
from sandbox.wiki_prices import load_table

DAY_S = 86_400
WIDTHS_S = {"1m": 60, "2m": 120, "5m": 300, "15m": 900, "30m": 1800, "60m": 3600, "1h": 3600, "90m": 5400, "1d": DAY_S}
#: Minutes of the epoch that are divided by this are halted in shares: rows of nulls.
HALTED_EVERY = 211
#: The last price of a session is printed some seconds after its end ("regularMarketTime":1766437206, end 1766437200).
LATE_S = 6
_SATURDAY = 5
_HOLIDAYS = ((1, 1), (7, 4), (12, 25))


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol; `walk` is the coin whose prices it has, "" where its daily bars are the wheel's."""

    native: str
    instrument: str
    name: str
    kind: str
    exchange: str
    currency: str
    zone: str
    opens_min: int
    length_min: int
    walk: str

    @property
    def has_volume(self) -> bool:
        return self.kind in ("EQUITY", "CRYPTOCURRENCY")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a chart as JSON texts; all None where the minute was halted. `day` is the session's date."""

    ts: int
    day: str
    open: str | None
    high: str | None
    low: str | None
    close: str | None
    volume: str | None
    adjusted: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A dividend (`amount`) or a split (`numerator` for `denominator`), at its session's open."""

    ts: int
    day: str
    amount: str = ""
    numerator: str = ""
    denominator: str = ""


_NEW_YORK, _LONDON = "America/New_York", "Europe/London"
SYMBOLS = {
    one.native: one
    for one in (
        Symbol("AAPL", "AAPL", "Apple Inc.", "EQUITY", "NMS", "USD", _NEW_YORK, 570, 390, "SOLUSD"),
        Symbol("BRK-B", "BRK.B", "Berkshire Hathaway Inc.", "EQUITY", "NYQ", "USD", _NEW_YORK, 570, 390, "BNBUSDT"),
        Symbol("IBM", "IBM", "International Business Machines", "EQUITY", "NYQ", "USD", _NEW_YORK, 570, 390, ""),
        Symbol("FB", "FB", "Facebook, Inc.", "EQUITY", "NMS", "USD", _NEW_YORK, 570, 390, ""),
        Symbol("TSCO.L", "TSCO.LON", "TESCO PLC", "EQUITY", "LSE", "GBp", _LONDON, 480, 510, "LTCUSD"),
        Symbol("^GSPC", "GSPC.INDX", "S&P 500", "INDEX", "SNP", "USD", _NEW_YORK, 570, 390, "ETHUSD"),
        Symbol("EURUSD=X", "EUR-USD", "EUR/USD", "CURRENCY", "CCY", "USD", _LONDON, 0, 1440, "XRPUSD"),
        Symbol("JPY=X", "USD-JPY", "USD/JPY", "CURRENCY", "CCY", "JPY", _LONDON, 0, 1440, "LTCUSDT"),
        Symbol("BTC-USD", "BTC-USD", "Bitcoin USD", "CRYPTOCURRENCY", "CCC", "USD", "UTC", 0, 1440, "BTCUSD"),
        Symbol("ETH-USD", "ETH-USD", "Ethereum USD", "CRYPTOCURRENCY", "CCC", "USD", "UTC", 0, 1440, "ETHUSD"),
    )
}
_COMPOSITE, _COMPOSITE_FILE = "^IXIC", "arch/data/nasdaq/nasdaq.csv.gz"
if arch_rows(_COMPOSITE_FILE):
    SYMBOLS[_COMPOSITE] = Symbol(
        *(_COMPOSITE, "IXIC.INDX", "NASDAQ Composite", "INDEX", "NIM", "USD", _NEW_YORK, 570, 390, "")
    )
_SPLITS = {"AAPL": (("2014-06-09", "7", "1"), ("2020-08-31", "4", "1"))}
#: Quarterly on the second Friday of February, May, August and November, growing by half a cent a year.
_PAYERS = {"AAPL": 2013, "TSCO.L": 2018}


class YahooMarket:
    """Bars, events and newest prices of one seed's market."""

    def __init__(self, seed: int) -> None:
        self._walk = PriceWalk(seed)
        self._real = _real_rows()

    def first_s(self, symbol: Symbol) -> int:
        """Return the open of the first session."""
        if not symbol.walk:
            return _open_s(symbol, date.fromisoformat(self._real[symbol.native][0][0]))
        return next(_sessions(symbol, LISTED_SINCE_MS // 1000, LISTED_SINCE_MS // 1000 + 7 * DAY_S))[1]

    def rows(self, symbol: Symbol, interval: str, start_s: int, end_s: int, *, now_s: float) -> list[Row]:
        """Return the bars that open in `[start_s, end_s)` and not after now, the forming one with what it has."""
        end_s = min(end_s, int(now_s) + 1)
        if interval == "1d":
            return self._days(symbol, start_s, end_s, now_s=now_s)
        width_s, rows = WIDTHS_S[interval], []
        for day, opens_s, closes_s in _sessions(symbol, start_s, end_s):
            for ts in range(opens_s, closes_s, width_s):
                if symbol.walk and start_s <= ts < end_s:
                    rows.append(self._row(symbol, day, ts, min(ts + width_s, closes_s), interval, now_s))
        return rows

    def newest(self, symbol: Symbol, *, now_s: float) -> Row:
        """Return the newest price as Yahoo appends it: four equal prices at the time of the last trade."""
        if not symbol.walk:
            row = self._days(symbol, 0, int(now_s), now_s=now_s)[-1]
            late_s = row.ts + symbol.length_min * 60 + LATE_S
            return Row(late_s, row.day, row.close, row.close, row.close, row.close, "0", row.adjusted)
        day, opens_s, closes_s = list(_sessions(symbol, int(now_s) - 10 * DAY_S, int(now_s) + 1))[-1]
        is_over = now_s >= closes_s
        at_s = closes_s if is_over else max(int(now_s), opens_s)
        price = self._walk.second(symbol.walk, at_s - is_over, now_ms=int(now_s * 1000)).close
        text = _printed(str(Decimal(price).scaleb(-LISTINGS[symbol.walk].tick_decimals)))
        return Row(at_s + LATE_S * is_over, day, text, text, text, text, "0", text)

    def live_day(self, symbol: Symbol, *, now_s: float) -> Row:
        """Return the newest session's whole bar at the time of its last trade: nearly the row before it, twice."""
        newest = self.newest(symbol, now_s=now_s)
        row = self._days(symbol, newest.ts - DAY_S, newest.ts + 1, now_s=now_s)[-1]
        more = str(int(row.volume or "0") + 100) if symbol.has_volume else row.volume
        return Row(newest.ts, row.day, row.open, row.high, row.low, row.close, more, row.adjusted)

    def events(self, symbol: Symbol, start_s: int, end_s: int, *, now_s: float) -> tuple[list[Event], list[Event]]:
        """Return dividends and splits whose session opens in `[start_s, end_s)` and not after now, ascending."""
        end_s = min(end_s, int(now_s) + 1)
        dividends = [one for one in _dividends(symbol, end_s) if start_s <= one.ts < end_s]
        splits = [
            Event(_open_s(symbol, date.fromisoformat(day)), day, "", numerator, denominator)
            for day, numerator, denominator in _SPLITS.get(symbol.native, ())
        ]
        return dividends, [one for one in splits if start_s <= one.ts < end_s]

    def _days(self, symbol: Symbol, start_s: int, end_s: int, *, now_s: float) -> list[Row]:
        if symbol.walk:
            found = [one for one in _sessions(symbol, start_s, end_s) if start_s <= one[1] < end_s]
            return [self._row(symbol, day, opens_s, closes_s, "1d", now_s) for day, opens_s, closes_s in found]
        rows = []
        for day, *texts, volume, adjusted in self._real[symbol.native]:
            ts = _open_s(symbol, date.fromisoformat(day))
            if start_s <= ts < end_s:
                rows.append(Row(ts, day, *_four(texts), volume, _printed(adjusted)))
        return rows

    def _row(self, symbol: Symbol, day: str, ts: int, until_s: int, interval: str, now_s: float) -> Row:
        """Print the bar of `[ts, until_s)`; a minute that was halted is nulls once it is over."""
        if interval == "1m" and symbol.kind == "EQUITY" and ts // 60 % HALTED_EVERY == 0:
            return Row(ts, day, None, None, None, None, None)
        bar = self._walk.bar(symbol.walk, ts // 60, until_s // 60, now_ms=int(now_s * 1000))
        decimals = LISTINGS[symbol.walk].tick_decimals
        prices = _four([str(Decimal(ticks).scaleb(-decimals)) for ticks in bar[:4]])
        volume = str(bar.volume) if symbol.has_volume else "0"
        return Row(ts, day, *prices, volume, prices[3] if interval == "1d" else None)


def _printed(text: str) -> str:
    """Return a number as Yahoo prints it: through 32 bits, with all the digits that 64 bits then show."""
    return repr(struct.unpack("f", struct.pack("f", float(text)))[0])


def _four(texts: Sequence[str]) -> tuple[str, str, str, str]:
    """Return open, high, low and close as Yahoo prints them."""
    opening, high, low, close = map(_printed, texts)
    return opening, high, low, close


def _real_rows() -> dict[str, list[tuple[str, ...]]]:
    """Return per real symbol its rows: date, open, high, low, close, volume, adjusted close."""
    table = load_table()
    found: dict[str, list[tuple[str, ...]]] = {
        native: [(row.date, *row.cells[2:]) for row in table.of(native)]
        for native, symbol in SYMBOLS.items()
        if not symbol.walk and native != _COMPOSITE
    }
    columns = ("Open", "High", "Low", "Close", "Volume", "Adj Close")
    days = [(day.isoformat(), *(row[name] for name in columns)) for day, row in arch_rows(_COMPOSITE_FILE)]
    return found | ({_COMPOSITE: days} if days else {})


def _open_s(symbol: Symbol, day: date) -> int:
    hour, minute = divmod(symbol.opens_min, 60)
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(symbol.zone)).timestamp())


def _sessions(symbol: Symbol, start_s: int, end_s: int) -> Iterator[tuple[str, int, int]]:
    """Yield date, open and close of the sessions that meet `[start_s, end_s)`; coins know no weekend and no holiday."""
    day = datetime.fromtimestamp(start_s, UTC).date() - timedelta(days=2)
    last = datetime.fromtimestamp(end_s, UTC).date() + timedelta(days=1)
    while day <= last:
        is_open = symbol.zone == "UTC" or (day.weekday() < _SATURDAY and (day.month, day.day) not in _HOLIDAYS)
        opens_s = _open_s(symbol, day)
        # A day around the clock ends where the next begins: twice a year it has 23 or 25 hours.
        whole = symbol.length_min == DAY_S // 60
        closes_s = _open_s(symbol, day + timedelta(days=1)) if whole else opens_s + symbol.length_min * 60
        if is_open and opens_s < end_s and closes_s > start_s and opens_s * 1000 >= LISTED_SINCE_MS:
            yield day.isoformat(), opens_s, closes_s
        day += timedelta(days=1)


def _dividends(symbol: Symbol, end_s: int) -> Iterator[Event]:
    since = _PAYERS.get(symbol.native)
    if since is None:
        return
    for year in range(since, datetime.fromtimestamp(end_s, UTC).year + 1):
        for month in (2, 5, 8, 11):
            first = date(year, month, 1)
            day = first + timedelta(days=(4 - first.weekday()) % 7 + 7)
            amount = _printed(str(Decimal("0.10") + Decimal("0.005") * (year - since)))
            yield Event(_open_s(symbol, day), day.isoformat(), amount)
