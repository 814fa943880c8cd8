"""A synthetic market: any bar, quote and book since the listing, at any time, without state.

Deliberately not here: the single trades (`trade_tape.py`); how a provider prints all this (`dialects/`).
Invariant: a finished bar is a function of (seed, symbol, time) alone, and every wider bar is exactly the
aggregate of the narrower ones: seconds make the minute, minutes the hour, hours the day.

Prices are whole ticks and volumes whole lot steps, so that sums are exact. Hourly anchors follow slow sinusoids and
hashed noise; within the hour a hashed random bridge runs from one anchor to the next.
"""

import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from hashlib import shake_128
from itertools import accumulate, pairwise
from operator import mul
from typing import NamedTuple

from sandbox.listings import LISTED_SINCE_MS, LISTINGS

MINUTE_MS = 60_000
MINUTES_PER_HOUR = 60
MINUTES_PER_DAY = 1440
_LISTED_HOUR = LISTED_SINCE_MS // (MINUTES_PER_HOUR * MINUTE_MS)

# (period in hours, amplitude in log price): four years, 200 days, a month, five days, a day.
_WAVES = ((35_040.0, 0.55), (4_800.0, 0.22), (720.0, 0.08), (120.0, 0.025), (24.0, 0.008))
_ANCHOR_NOISE = 0.003  # log price: an hour moves by about 0.3 %
_STEP_PER_10_000 = 6  # a minute moves by at most 0.06 % of the price


class Bar(NamedTuple):
    """One bar: prices in ticks, `volume` in lot steps, quote amounts in ticks x steps."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_volume: int
    taker_quote_volume: int


class Quote(NamedTuple):
    """The best bid and ask: prices in ticks, sizes in lot steps."""

    bid: int
    bid_size: int
    ask: int
    ask_size: int


class Book(NamedTuple):
    """Both sides of a book: (price in ticks, size in lot steps), the best price first."""

    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class PriceWalk:
    """The market of one seed. Costs about 1 us a minute bar; days are kept once computed (10 symbols: 33,000)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.minutes_of_hour = lru_cache(maxsize=512)(self._minutes_of_hour)
        self.seconds_of_minute = lru_cache(maxsize=256)(self._seconds_of_minute)
        self._hour_bar = lru_cache(maxsize=16_384)(self._aggregate_hour)
        self._day_bar = lru_cache(maxsize=65_536)(self._aggregate_day)
        self._anchor = lru_cache(maxsize=16_384)(self._compute_anchor)
        self._phases = lru_cache(maxsize=64)(self._hash_phases)

    def bar(self, symbol: str, start_minute: int, end_minute: int, *, now_ms: int) -> Bar:
        """Return the bar of `[start_minute, end_minute)`, minutes since the epoch, as far as it has happened.

        A bar that is still forming holds the seconds that are over; before the first of them it is flat.
        The start must not be after now. Minutes before the listing are left out.
        """
        this_minute = now_ms // MINUTE_MS
        if end_minute == start_minute + 1 <= this_minute:
            return self.minutes_of_hour(symbol, start_minute // 60)[start_minute % 60]
        first = max(start_minute, LISTED_SINCE_MS // MINUTE_MS)
        if end_minute <= this_minute:
            return aggregate(self._finished(symbol, first, end_minute))
        seconds = self.seconds_of_minute(symbol, this_minute)
        over = seconds[: now_ms % MINUTE_MS // 1000]
        parts = [*self._finished(symbol, first, this_minute), *over]
        return aggregate(parts) if parts else flat(seconds[0].open)

    def second(self, symbol: str, second: int, *, now_ms: int) -> Bar:
        """Return the one-second bar that opens at `second` (since the epoch); flat while it is forming."""
        bar = self.seconds_of_minute(symbol, second // 60)[second % 60]
        return bar if (second + 1) * 1000 <= now_ms else flat(bar.open)

    def quote(self, symbol: str, now_ms: int) -> Quote:
        """Return the best bid and ask at `now_ms`; they move ten times a second."""
        price = self.seconds_of_minute(symbol, now_ms // MINUTE_MS)[now_ms % MINUTE_MS // 1000].open
        wobble, spread, bid_size, ask_size = self.numbers(f"{symbol}/quote/{now_ms // 100}", 4)
        bid = price - wobble % 4
        lot = max(LISTINGS[symbol].minute_volume // 100, 2)
        return Quote(bid, 1 + (bid_size * lot >> 16), bid + 1 + spread % 2, 1 + (ask_size * lot >> 16))

    def book(self, symbol: str, now_ms: int, levels: int) -> Book:
        """Return the best `levels` prices of each side, fewer where the bids reach zero; the first are the quote's."""
        bid, bid_size, ask, ask_size = self.quote(symbol, now_ms)
        lot = max(LISTINGS[symbol].minute_volume // 50, 4)
        numbers = self.numbers(f"{symbol}/book/{now_ms // 100}", 4 * (levels - 1))
        bids = accumulate((-1 - n % 3 for n in numbers[::4]), initial=bid)
        asks = accumulate((1 + n % 3 for n in numbers[1::4]), initial=ask)
        bid_sizes = (bid_size, *(1 + (n * lot >> 16) for n in numbers[2::4]))
        ask_sizes = (ask_size, *(1 + (n * lot >> 16) for n in numbers[3::4]))
        buyers, sellers = zip(bids, bid_sizes, strict=True), zip(asks, ask_sizes, strict=True)
        return Book(tuple(level for level in buyers if level[0] > 0), tuple(sellers))

    def trades_before(self, symbol: str, hour: int) -> int:
        """Return the trades from the listing to the hour's start: a line with noise, at least 3600 an hour."""
        usual = LISTINGS[symbol].minute_trades
        noise = self.numbers(f"{symbol}/count/{hour}", 1)[0] if hour > _LISTED_HOUR else 0
        return (hour - _LISTED_HOUR) * (3600 + 60 * (usual * 5 // 16)) + (60 * (usual // 4) * noise >> 16)

    def _finished(self, symbol: str, start: int, end: int) -> list[Bar]:
        """Cover `[start, end)` with the widest kept bars: days, then hours, then minutes."""
        parts: list[Bar] = []
        minute = start
        while minute < end:
            if minute % MINUTES_PER_DAY == 0 and minute + MINUTES_PER_DAY <= end:
                parts.append(self._day_bar(symbol, minute // MINUTES_PER_DAY))
                minute += MINUTES_PER_DAY
                continue
            hour, offset = divmod(minute, MINUTES_PER_HOUR)
            until = min(end - hour * MINUTES_PER_HOUR, MINUTES_PER_HOUR)
            if until - offset == MINUTES_PER_HOUR:
                parts.append(self._hour_bar(symbol, hour))
            else:
                parts.extend(self.minutes_of_hour(symbol, hour)[offset:until])
            minute = hour * MINUTES_PER_HOUR + until
        return parts

    def _aggregate_day(self, symbol: str, day: int) -> Bar:
        # The hours of a day are not kept: asking for ten years of days would push everything else out.
        return aggregate([self._aggregate_hour(symbol, hour) for hour in range(day * 24, day * 24 + 24)])

    def _aggregate_hour(self, symbol: str, hour: int) -> Bar:
        """Return the bar that the hour's minutes make up, without making them: a page may hold 1,000 days."""
        edges, volumes, high, low = self._hour_path(symbol, hour)
        volume, quote = sum(volumes), sum(map(mul, volumes, edges))
        trades, taker, taker_quote = self._hour_totals(symbol, hour, volume, quote)
        return Bar(edges[0], high, low, edges[60], volume, quote, trades, taker, taker_quote)

    def _minutes_of_hour(self, symbol: str, hour: int) -> tuple[Bar, ...]:
        """Make the 60 bars whose aggregate is the hour: the same path, with wicks, and the totals shared out."""
        edges, volumes, high, low = self._hour_path(symbol, hour)
        quotes = list(map(mul, volumes, edges))
        volume, quote = sum(volumes), sum(quotes)
        totals = self._hour_totals(symbol, hour, volume, quote)
        trades = [60 + count for count in share_out(totals[0] - 3600, volumes)]
        takers, taker_quotes = share_out(totals[1], volumes), share_out(totals[2], quotes)
        numbers = self.numbers(f"{symbol}/wicks/{hour}", 180)
        wick = (high - low) // 16 + 1
        # The top edge is both a close and the next open; the hour's own extremes belong to the bars that touch it.
        top, bottom = min(edges.index(max(edges)), 59), min(edges.index(min(edges)), 59)
        bars = []
        for i in range(60):
            jitter, up, down = numbers[i * 3 : i * 3 + 3]
            opening = min(max(edges[i] + jitter % 3 - 1, low), high) if i else edges[0]
            closing = edges[i + 1]
            highest = high if i == top else min(high, max(opening, closing, edges[i]) + (up * wick >> 16))
            lowest = low if i == bottom else max(low, min(opening, closing, edges[i]) - (down * wick >> 16))
            amounts = volumes[i], quotes[i], trades[i], takers[i], taker_quotes[i]
            bars.append(Bar(opening, highest, lowest, closing, *amounts))
        return tuple(bars)

    def _hour_path(self, symbol: str, hour: int) -> tuple[list[int], list[int], int, int]:
        """Return the 61 prices at the edges of the hour's minutes, the 60 volumes, and the hour's high and low."""
        start, end = self._anchor(symbol, hour), self._anchor(symbol, hour + 1)
        numbers = self.numbers(f"{symbol}/hour/{hour}", 122)
        # A random bridge: the drift less its own mean ends where it began, and `end - start` is spread evenly.
        step = start * _STEP_PER_10_000 // 10_000 + 1
        drift = [0, *accumulate(numbers[:60])]
        slope = (end - start) * 65_536 - drift[60] * step
        edges = [start + (moved * step + slope * i // 60 >> 16) for i, moved in enumerate(drift)]
        size = LISTINGS[symbol].minute_volume
        volumes = [size * (n + 8_192) >> 15 for n in numbers[60:120]]
        return edges, volumes, max(edges) + (numbers[120] * step >> 16), min(edges) - (numbers[121] * step >> 16)

    def _hour_totals(self, symbol: str, hour: int, volume: int, quote: int) -> tuple[int, int, int]:
        """Return the hour's number of trades, taker volume and taker quote volume."""
        trades = self.trades_before(symbol, hour + 1) - self.trades_before(symbol, hour)
        taker_share = 16_384 + self.numbers(f"{symbol}/totals/{hour}", 1)[0] // 2
        return trades, volume * taker_share >> 16, quote * taker_share >> 16

    def _seconds_of_minute(self, symbol: str, minute: int) -> tuple[Bar, ...]:
        """Split a minute into 60 bars that make it up exactly, each a bar that its number of trades can make."""
        whole = self.minutes_of_hour(symbol, minute // 60)[minute % 60]
        numbers = self.numbers(f"{symbol}/minute/{minute}", 122)
        trades = [1 + count for count in share_out(whole.trades - 60, [1 + n for n in numbers[:60]])]
        volumes, quotes, _, takers, taker_quotes = (share_out(amount, trades) for amount in whole[4:])
        swing, rise = (whole.high - whole.low) // 4, whole.close - whole.open
        paths = [whole.open + rise * i // 60 + (n * swing >> 16) for i, n in enumerate(numbers[60:120])]
        edges = [whole.open, *[min(whole.high, max(whole.low, price)) for price in paths[1:]], whole.close]
        opens, closes = edges[:60], edges[1:]
        # The minute's extremes open two different seconds between its first and its last.
        high_at = 1 + numbers[120] % 58
        opens[high_at], opens[1 + (high_at + numbers[121] % 57) % 58] = whole.high, whole.low
        bars = []
        for i, count in enumerate(trades):
            opening, closing = opens[i], closes[i]
            if count == 1:  # a lone trade has one price
                opening = closing = closing if i == 59 else opening
            amounts = volumes[i], quotes[i], count, takers[i], taker_quotes[i]
            bars.append(Bar(opening, max(opening, closing), min(opening, closing), closing, *amounts))
        return tuple(bars)

    def _compute_anchor(self, symbol: str, hour: int) -> int:
        """Return the price in ticks at the start of the hour."""
        log_price = sum(
            amplitude * math.sin(math.tau * (hour / period + phase / 65_536))
            for (period, amplitude), phase in zip(_WAVES, self._phases(symbol), strict=True)
        )
        noise = self.numbers(f"{symbol}/anchor/{hour}", 1)[0] / 32_768 - 1
        return round(LISTINGS[symbol].typical_price * math.exp(log_price + noise * _ANCHOR_NOISE))

    def _hash_phases(self, symbol: str) -> tuple[int, ...]:
        # A dollar is worth a tether, so both pairs of a coin rise and fall together.
        name = f"{symbol}T" if LISTINGS[symbol].quote_asset == "USD" else symbol
        return self.numbers(f"{name}/phases", len(_WAVES))

    def numbers(self, name: str, count: int) -> tuple[int, ...]:
        """Return `count` hashed 16-bit numbers; the same name gives the same numbers for ever."""
        return struct.unpack(f"<{count}H", shake_128(f"{self._seed}/{name}".encode()).digest(count * 2))


def share_out(total: int, weights: Sequence[int]) -> list[int]:
    """Split a whole number in proportion to the weights; the shares add up to it exactly."""
    sums = [0, *accumulate(weights)]
    marks = [total * reached // sums[-1] for reached in sums]
    return [after - before for before, after in pairwise(marks)]


def aggregate(bars: Sequence[Bar]) -> Bar:
    """Return the bar that the given consecutive bars make up. At least one is needed."""
    opens, highs, lows, closes, *amounts = zip(*bars, strict=True)
    return Bar(opens[0], max(highs), min(lows), closes[-1], *[sum(column) for column in amounts])


def flat(price: int) -> Bar:
    """Return a bar without trades: all four prices are the last one."""
    return Bar(price, price, price, price, 0, 0, 0, 0, 0)
