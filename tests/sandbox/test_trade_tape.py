"""Properties of the trade tape: every way of asking gives the same trades, and they make up the bars of the walk."""

from itertools import pairwise
from operator import attrgetter

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.listings import LISTED_SINCE_MS, LISTINGS
from sandbox.price_walk import MINUTE_MS, PriceWalk
from sandbox.trade_tape import TradeTape

FIRST_MINUTE = LISTED_SINCE_MS // MINUTE_MS
TEN_YEARS_MS = 10 * 365 * 86_400_000
NEVER_MS = 10**14
NOW_MS = 1_795_415_820_500
# No deadline: on a busy machine the first ask of a minute takes as long as it takes.
steady = settings(deadline=None)
WALK = PriceWalk(7)
TAPE = TradeTape(WALK)

symbols = st.sampled_from(sorted(LISTINGS))
minutes = st.integers(FIRST_MINUTE, FIRST_MINUTE + TEN_YEARS_MS // MINUTE_MS)
times_ms = st.integers(LISTED_SINCE_MS, LISTED_SINCE_MS + TEN_YEARS_MS)


def assert_made_up(bar, trades):
    prices = [trade.price for trade in trades]
    assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
    assert (bar.volume, bar.trades) == (sum(trade.size for trade in trades), len(trades))


@steady
@given(symbols, minutes)
def test_the_trades_of_a_minute_make_up_its_bar(symbol, minute):
    trades = TAPE.trades(symbol, minute * MINUTE_MS, (minute + 1) * MINUTE_MS)
    assert_made_up(WALK.bar(symbol, minute, minute + 1, now_ms=NEVER_MS), trades)


@steady
@given(symbols, minutes)
def test_the_trades_of_each_second_make_up_its_bar(symbol, minute):
    for second in range(minute * 60, minute * 60 + 60):
        trades = TAPE.trades(symbol, second * 1000, second * 1000 + 1000)
        assert_made_up(WALK.second(symbol, second, now_ms=NEVER_MS), trades)


@steady
@given(symbols, minutes, st.integers(0, 59_999))
def test_a_bar_that_is_forming_holds_the_trades_of_the_seconds_that_are_over(symbol, minute, elapsed_ms):
    start_ms = minute * MINUTE_MS
    trades = TAPE.trades(symbol, start_ms, start_ms + elapsed_ms // 1000 * 1000)
    bar = WALK.bar(symbol, minute, minute + 1, now_ms=start_ms + elapsed_ms)
    assert (bar.volume, bar.trades) == (sum(trade.size for trade in trades), len(trades))


@steady
@given(symbols, times_ms, st.integers(1, 300_000))
def test_ids_have_no_gap_times_never_fall_and_every_trade_is_inside_the_window(symbol, start_ms, length_ms):
    trades = TAPE.trades(symbol, start_ms, start_ms + length_ms)
    assert all(b.id == a.id + 1 and b.time_us >= a.time_us for a, b in pairwise(trades))
    assert all(start_ms * 1000 <= trade.time_us < (start_ms + length_ms) * 1000 for trade in trades)
    assert all(trade.price > 0 and trade.size > 0 for trade in trades)


@steady
@given(symbols, times_ms, st.integers(0, 200_000), st.integers(0, 200_000))
def test_a_window_is_its_two_halves(symbol, start_ms, first_ms, second_ms):
    middle_ms, end_ms = start_ms + first_ms, start_ms + first_ms + second_ms
    halves = TAPE.trades(symbol, start_ms, middle_ms) + TAPE.trades(symbol, middle_ms, end_ms)
    assert TAPE.trades(symbol, start_ms, end_ms) == halves


@steady
@given(symbols, times_ms, st.integers(1, 1500))
def test_pages_by_id_hold_what_the_window_holds(symbol, now_ms, size):
    start_ms = max(now_ms - 200_000, LISTED_SINCE_MS)
    found, page = [], TAPE.trades_from(symbol, TAPE.first_id(symbol, start_ms), size, now_ms)
    while page:
        found += page
        assert len(page) <= size
        page = TAPE.trades_from(symbol, page[-1].id + 1, size, now_ms)
    assert found == TAPE.trades(symbol, start_ms, now_ms)


@steady
@given(symbols, times_ms, st.integers(1, 1000))
def test_the_newest_trades_are_the_last_ones_that_have_happened(symbol, now_ms, count):
    newest, ahead = TAPE.newest(symbol, count, now_ms), TAPE.first_id(symbol, now_ms)
    assert [trade.id for trade in newest] == list(range(max(ahead - count, 1), ahead))
    assert TAPE.trades_from(symbol, ahead, count, now_ms) == []


@steady
@given(symbols, st.integers(1, 10**8))
def test_a_trade_is_found_by_its_id_alone(symbol, trade_id):
    (trade,) = TAPE.trades_from(symbol, trade_id, 1, NOW_MS)
    assert trade.id == trade_id
    at_ms = trade.time_us // 1000
    assert trade in TAPE.trades(symbol, at_ms, at_ms + 1)


@steady
@given(symbols, minutes)
def test_another_tape_of_the_same_seed_holds_the_same_trades_and_another_seed_others(symbol, minute):
    span = minute * MINUTE_MS, minute * MINUTE_MS + 10_000
    assert TradeTape(PriceWalk(7)).trades(symbol, *span) == TAPE.trades(symbol, *span)
    assert TradeTape(PriceWalk(8)).trades(symbol, *span) != TAPE.trades(symbol, *span)


def test_the_first_trade_of_all_has_the_id_1_and_nothing_comes_before_it():
    assert TAPE.trades("BTCUSDT", LISTED_SINCE_MS, LISTED_SINCE_MS + 5000)[0].id == 1
    assert TAPE.trades("BTCUSDT", 0, LISTED_SINCE_MS) == []
    assert TAPE.trades_from("BTCUSDT", -50, 3, NOW_MS) == TAPE.trades_from("BTCUSDT", 1, 3, NOW_MS)
    assert TAPE.newest("BTCUSDT", 10, LISTED_SINCE_MS) == []


def test_several_trades_share_a_millisecond_and_takers_are_on_both_sides():
    trades = TAPE.newest("BTCUSDT", 1000, NOW_MS)
    assert len({trade.time_us // 1000 for trade in trades}) < 950
    assert 300 < sum(map(attrgetter("taker_buys"), trades)) < 700
