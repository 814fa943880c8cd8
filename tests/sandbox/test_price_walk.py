"""Properties of the synthetic market: what every bar and every sum of bars must hold."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.kline_grid import INTERVAL_WIDTHS_MS, KlineGrid
from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.price_walk import MINUTE_MS, PriceWalk, aggregate

FIRST_MINUTE = LISTED_SINCE_MS // MINUTE_MS
NEVER_MS = 10**14
# No deadline: on a busy machine the first ask of a day takes as long as it takes.
steady = settings(deadline=None)
WALK = PriceWalk(7)

symbols = st.sampled_from(sorted(LISTINGS))
minutes = st.integers(FIRST_MINUTE, FIRST_MINUTE + 10 * 365 * 1440)
times_ms = st.integers(LISTED_SINCE_MS, LISTED_SINCE_MS + 10 * 365 * 86_400_000)


def finished(symbol, start, end):
    return WALK.bar(symbol, start, end, now_ms=NEVER_MS)


@steady
@given(symbols, minutes)
def test_the_high_and_low_hold_the_open_the_close_and_the_average_price(symbol, minute):
    bar = finished(symbol, minute, minute + 1)
    assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
    assert bar.low * bar.volume <= bar.quote_volume <= bar.high * bar.volume
    assert 0 < bar.taker_volume <= bar.volume
    assert bar.trades > 0


@steady
@given(symbols, minutes)
def test_the_next_open_is_within_two_ticks_of_the_close(symbol, minute):
    assert abs(finished(symbol, minute + 1, minute + 2).open - finished(symbol, minute, minute + 1).close) <= 2


@steady
@given(symbols, minutes)
def test_another_walk_of_the_same_seed_gives_the_same_bar_and_another_seed_another(symbol, minute):
    bar = finished(symbol, minute, minute + 1)
    assert PriceWalk(7).bar(symbol, minute, minute + 1, now_ms=NEVER_MS) == bar
    assert PriceWalk(8).bar(symbol, minute, minute + 1, now_ms=NEVER_MS) != bar


@steady
@given(symbols, minutes, st.integers(1, 3000))
def test_any_span_is_the_aggregate_of_its_minutes(symbol, start, length):
    parts = [finished(symbol, minute, minute + 1) for minute in range(start, start + length)]
    assert finished(symbol, start, start + length) == aggregate(parts)


@steady
@given(symbols, minutes)
def test_a_minute_is_the_aggregate_of_its_seconds(symbol, minute):
    seconds = [WALK.second(symbol, minute * 60 + i, now_ms=NEVER_MS) for i in range(60)]
    assert aggregate(seconds) == finished(symbol, minute, minute + 1)
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in seconds)


@steady
@given(symbols, minutes, st.integers(0, 59_998))
def test_a_forming_bar_only_grows_and_its_open_stays(symbol, minute, elapsed_ms):
    earlier = WALK.bar(symbol, minute, minute + 1, now_ms=minute * MINUTE_MS + elapsed_ms)
    later = WALK.bar(symbol, minute, minute + 1, now_ms=minute * MINUTE_MS + elapsed_ms + 1)
    whole = finished(symbol, minute, minute + 1)
    assert earlier.open == later.open == whole.open
    assert earlier.volume <= later.volume <= whole.volume
    assert whole.low <= later.low <= earlier.low <= earlier.high <= later.high <= whole.high
    assert (earlier.trades == 0) == (elapsed_ms < 1000)


@steady
@given(symbols, times_ms)
def test_the_bid_is_below_the_ask_and_both_are_near_the_price(symbol, now_ms):
    quote = WALK.quote(symbol, now_ms)
    bar = finished(symbol, now_ms // MINUTE_MS, now_ms // MINUTE_MS + 1)
    assert bar.low - 4 <= quote.bid < quote.ask <= bar.high + 3
    assert min(quote.bid_size, quote.ask_size) > 0


@steady
@given(symbols, times_ms, st.integers(1, 200))
def test_a_book_begins_with_the_quote_and_its_prices_lead_away_from_it(symbol, now_ms, levels):
    book, quote = WALK.book(symbol, now_ms, levels), WALK.quote(symbol, now_ms)
    assert (*book.bids[0], *book.asks[0]) == quote
    assert len(book.bids) == len(book.asks) == levels
    assert all(a[0] > b[0] for a, b in pairwise(book.bids))
    assert all(a[0] < b[0] for a, b in pairwise(book.asks))
    assert all(price > 0 and size > 0 for price, size in book.bids + book.asks)


@steady
@given(symbols, times_ms, st.integers(1, 99))
def test_a_shallow_book_is_the_top_of_the_deep_one(symbol, now_ms, levels):
    deep = WALK.book(symbol, now_ms, 100)
    assert WALK.book(symbol, now_ms, levels) == (deep.bids[:levels], deep.asks[:levels])


def test_the_deepest_book_ends_above_zero():
    book = WALK.book("BNBBTC", LISTED_SINCE_MS + 86_400_000, 5000)
    assert len(book.bids) < len(book.asks) == 5000
    assert book.bids[-1][0] > 0


@steady
@given(st.sampled_from(sorted(symbol for symbol in LISTINGS if symbol.endswith("USD"))), minutes)
def test_a_coin_costs_about_as_much_in_dollars_as_in_tethers(symbol, minute):
    dollars, tethers = finished(symbol, minute, minute + 1).close, finished(f"{symbol}T", minute, minute + 1).close
    assert abs(dollars - tethers) <= 0.03 * tethers + 4


def test_the_quote_changes_several_times_a_second():
    start = LISTED_SINCE_MS + 86_400_000
    assert len({WALK.quote("BTCUSDT", start + ms) for ms in range(0, 1000, 50)}) >= 5


@steady
@given(st.sampled_from(sorted(INTERVAL_WIDTHS_MS)), times_ms, st.integers(-720, 840))
def test_every_time_lies_in_exactly_one_bucket_of_the_grid(interval, time_ms, zone_minutes):
    grid = KlineGrid(interval, zone_minutes * MINUTE_MS)
    index = grid.index(time_ms)
    assert grid.open_ms(index) <= time_ms < grid.open_ms(index + 1)
    assert grid.index(grid.open_ms(index)) == index == grid.index_not_before(grid.open_ms(index))
    assert grid.index_not_before(grid.open_ms(index) + 1) == index + 1
