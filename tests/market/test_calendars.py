"""Calendars: what is counted is what is listed, windows add up, and known holidays and half days are known."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import bokeh_sampledata
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import providers
from ingest.market.calendars import expected_by_day, expected_opens, is_open, last_close, next_open, open_seconds
from ingest.market.intervals import INTERVALS, bar_opens
from ingest.market.sessions import sessions_of
from ingest.providers.contract import calendar_of

CALENDARS = ("always", "fx", "ecb", "XNYS", "XTKS", "XASX", "XHKG", "XCAI")
moments = st.datetimes(datetime(1995, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
calendars, intervals = st.sampled_from(CALENDARS), st.sampled_from(INTERVALS)
spans = st.timedeltas(timedelta(0), timedelta(days=12))


def at(*parts):
    return datetime(*parts, tzinfo=UTC)


def on(calendar, interval, *day):
    """Count the bars of one UTC day."""
    return dict(expected_by_day(calendar, interval, at(*day), at(*day) + timedelta(days=1))).get(date(*day), 0)


@settings(max_examples=60, deadline=None)
@given(calendars, intervals, moments, spans)
def test_days_count_the_opens_that_are_listed_ascending_and_inside_the_window(calendar, interval, start, length):
    opens = expected_opens(calendar, interval, start, start + length)
    assert opens == sorted(set(opens))
    assert all(start <= one < start + length for one in opens)
    assert dict(expected_by_day(calendar, interval, start, start + length)) == Counter(one.date() for one in opens)


@settings(max_examples=60, deadline=None)
@given(calendars, intervals, moments, spans, spans)
def test_windows_cut_anywhere_add_up_in_bars_and_in_market_time(calendar, interval, start, one, other):
    cut, end = start + one, start + one + other
    parts = [expected_opens(calendar, interval, *window) for window in ((start, cut), (cut, end))]
    assert parts[0] + parts[1] == expected_opens(calendar, interval, start, end)
    whole = open_seconds(calendar, start, end)
    assert open_seconds(calendar, start, cut) + open_seconds(calendar, cut, end) == pytest.approx(whole, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(calendars, moments)
def test_minutes_are_expected_where_the_market_is_open(calendar, moment):
    minute = moment.replace(second=0, microsecond=0)
    opens = expected_opens(calendar, "1m", minute, minute + timedelta(minutes=1))
    assert bool(opens) == is_open(calendar, minute)
    assert last_close(calendar, moment) <= moment <= next_open(calendar, moment)


def test_a_market_that_never_closes_has_every_bar_of_the_grid_leap_days_too():
    window = at(2024, 2, 28, 12), at(2024, 3, 1, 0, 1)
    assert expected_opens("always", "5m", *window) == bar_opens(*window, "5m")
    assert expected_by_day("always", "1m", *window) == [
        (date(2024, 2, 28), 720),
        (date(2024, 2, 29), 1440),
        (date(2024, 3, 1), 1),
    ]
    assert open_seconds("always", *window) == 36 * 3600 + 60


@pytest.mark.parametrize(
    ("day", "minutes"),
    [
        ((2024, 7, 2), 390),
        ((2024, 7, 3), 210),  # the half day before Independence Day
        ((2024, 7, 4), 0),
        ((2024, 7, 6), 0),  # a Saturday
        ((2025, 1, 9), 0),  # the day of mourning for Jimmy Carter
        ((2001, 9, 12), 0),
        ((2012, 10, 29), 0),  # hurricane Sandy
        ((2024, 2, 29), 390),
    ],
)
def test_new_york_s_holidays_and_half_days_are_known(day, minutes):
    assert on("XNYS", "1m", *day) == minutes
    assert on("XNYS", "1d", *day) == (minutes > 0)


def test_summer_time_moves_an_exchange_s_hours_in_utc():
    for day, opens in ((8, at(2024, 3, 8, 14, 30)), (11, at(2024, 3, 11, 13, 30))):
        assert next_open("XNYS", at(2024, 3, day)) == opens
        assert expected_opens("XNYS", "1m", at(2024, 3, day), at(2024, 3, day + 1))[0] == opens
    assert last_close("XNYS", at(2024, 7, 4)) == at(2024, 7, 3, 17)


def test_bars_wider_than_a_minute_overlap_the_session_and_are_counted_once_across_a_break():
    assert expected_opens("XNYS", "1h", at(2024, 7, 3), at(2024, 7, 4)) == [at(2024, 7, 3, h) for h in (13, 14, 15, 16)]
    # Tokyo pauses from 02:30 to 03:30: the bars of 02:00 and 03:00 both have half an hour of trading.
    assert [one.hour for one in expected_opens("XTKS", "1h", at(2024, 7, 3), at(2024, 7, 4))] == [0, 1, 2, 3, 4, 5]
    assert [one.hour for one in expected_opens("XTKS", "4h", at(2024, 7, 3), at(2024, 7, 4))] == [0, 4]
    assert on("XTKS", "1m", 2024, 7, 3) == 300
    assert not is_open("XTKS", at(2024, 7, 3, 3))


def test_a_session_that_begins_the_evening_before_in_utc_is_dated_by_its_own_day():
    assert expected_by_day("XASX", "1m", at(2024, 1, 28), at(2024, 1, 30)) == [
        (date(2024, 1, 28), 60),
        (date(2024, 1, 29), 360),
    ]
    assert expected_opens("XASX", "1d", at(2024, 1, 28), at(2024, 1, 30)) == [at(2024, 1, 29)]


def test_money_trades_from_sunday_to_friday_at_five_in_new_york():
    winter = dict(expected_by_day("fx", "1m", at(2024, 1, 5), at(2024, 1, 9)))
    assert winter == {date(2024, 1, 5): 1320, date(2024, 1, 7): 120, date(2024, 1, 8): 1440}
    summer = dict(expected_by_day("fx", "1m", at(2024, 7, 5), at(2024, 7, 9)))
    assert summer == {date(2024, 7, 5): 1260, date(2024, 7, 7): 180, date(2024, 7, 8): 1440}
    assert [one.day for one in expected_opens("fx", "1d", at(2024, 7, 5), at(2024, 7, 10))] == [5, 8, 9]


def test_reference_rates_come_on_the_days_of_target_at_four_in_frankfurt():
    days = [one.date() for one in expected_opens("ecb", "1d", at(2024, 1, 1), at(2025, 1, 1))]
    weekdays = {date(2024, 1, 1) + timedelta(days=i) for i in range(366)} - set(days)
    closed = {one for one in weekdays if one.weekday() < 5}
    assert closed == {date(2024, *one) for one in ((1, 1), (3, 29), (4, 1), (5, 1), (12, 25), (12, 26))}
    assert (last_close("ecb", at(2024, 7, 3)), last_close("ecb", at(2024, 1, 3))) == (
        at(2024, 7, 2, 14),
        at(2024, 1, 2, 15),
    )


def test_market_time_stands_still_while_the_market_is_closed():
    assert open_seconds("XNYS", at(2024, 7, 3, 17), at(2024, 7, 5, 13, 30)) == 0
    assert open_seconds("XNYS", at(2024, 7, 3, 16, 59), at(2024, 7, 5, 13, 31)) == 120
    assert open_seconds("XNYS", at(2024, 7, 5), at(2024, 7, 3)) == 0


def test_days_beyond_what_is_known_of_an_exchange_are_those_of_a_usual_week():
    assert on("XSHG", "1d", 2029, 7, 2) == on("XTKS", "1d", 1995, 7, 3) == 1
    assert on("XSHG", "1d", 2029, 7, 1) == 0
    assert on("XXXX", "1m", 2029, 7, 1) == 1440, "nobody knows this exchange: everything is expected"


def test_every_real_daily_bar_of_the_sampledata_is_of_an_expected_session_and_every_session_has_its_bars():
    packed = (Path(bokeh_sampledata.__file__).parent / "_data" / "stocks.csv.gz").read_bytes()
    rows = list(csv.DictReader(gzip.decompress(packed).decode().splitlines()))
    for name in ("AAPL", "IBM", "MSFT"):
        stored = [date.fromisoformat(row["Date"]) for row in rows if row["Ticker"] == name]
        first, last = min(stored), max(stored)
        window = at(first.year, first.month, first.day), at(last.year, last.month, last.day, 1)
        expected = [one.date() for one in expected_opens("XNYS", "1d", *window)]
        assert (name, set(stored) - set(expected), set(expected) - set(stored)) == (name, set(), set())


@pytest.mark.parametrize(
    ("provider", "instrument", "calendar"),
    [
        ("binance", "BTC-USDT", "always"),
        ("kraken", "EUR-USD", "always"),  # an exchange of coins trades money around the clock too
        ("frankfurter", "EUR-USD", "ecb"),
        ("polygon", "BRK.B", "XNYS"),
        ("polygon", "EUR-USD", "fx"),
        ("polygon", "BTC-USD", "always"),
        ("yahoo", "XAU-USD", "fx"),
        ("yahoo", "TSCO.LON", "XLON"),
        ("yahoo", "SAP.DEX", "XETR"),
        ("yahoo", "VOLV.B.ST", "XSTO"),
        ("yahoo", "BRK.B", "XNYS"),
        ("fmp", "SAP.DE", "XETR"),
        ("finnhub", "TSCO.L", "XLON"),
        ("marketstack", "ABC.XBUE", "XBUE"),
        ("nasdaq_data_link", "AAPL", "XNYS"),
        ("alpha_vantage", "USD-JPY", "fx"),
    ],
)
def test_an_instrument_trades_by_the_calendar_of_its_kind_and_its_provider(provider, instrument, calendar):
    assert calendar_of(providers.get(provider).facts, instrument) == calendar


@pytest.mark.full  # 9 s: it works out a decade of every exchange
def test_every_exchange_that_a_provider_names_is_known_but_for_four():
    every = {mic for name in providers.names() for mic in providers.get(name).facts.exchanges.values()}
    every |= {providers.get(name).facts.trading for name in providers.names()} - {"always"}
    day = (date(2024, 7, 6) - date(1970, 1, 1)).days  # a Saturday, on which none of them trades
    assert {mic for mic in every if sessions_of(mic, day, day + 1)} == {"XCAI", "DSMD", "ASEX", "XTAE"}
