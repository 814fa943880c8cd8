"""The quality rules: each catches its fault and no other, and what is stored is stored unchanged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.market.quality import RULES, check, findings_of
from ingest.market.records import VALUE_COLUMNS, Reject

T0 = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BAR = {"instrument": "BTC-USDT", "open": "10", "high": "12", "low": "9", "close": "11", "volume": "5"}
QUOTE = {"instrument": "BTC-USDT", "ts": T0, "bid": "10", "bid_size": "1", "ask": "11", "ask_size": "1"}


def frame_of(*rows, dataset="bars"):
    schema = {
        "instrument": pl.String,
        "ts": pl.Datetime("us", "UTC"),
        **dict.fromkeys(VALUE_COLUMNS[dataset], pl.String),
    }
    return pl.DataFrame(list(rows), schema=schema)


def bars(*changes):
    return frame_of(*({**BAR, "ts": T0 + i * MINUTE, **change} for i, change in enumerate(changes)))


def checked(frame, *, dataset="bars", interval="1m", start=T0, end=T0 + timedelta(hours=1), observed_at=None):
    observed_at = observed_at or T0 + timedelta(hours=1)
    return check(frame, dataset=dataset, interval=interval, start=start, end=end, observed_at=observed_at)


def test_good_bars_pass_untouched_and_nothing_is_found():
    frame = bars({}, {"volume": None}, {"volume": "0.000", "trade_count": "17", "adjusted_close": "-1.50e-3"})
    good, findings = checked(frame)
    assert good.equals(frame)
    assert findings == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"open": None}, "null_price"),
        ({"close": "abc"}, "not_a_number"),
        ({"high": "8"}, "high_below_low"),
        ({"volume": "-0.1"}, "negative_volume"),
        ({"trade_count": "-1"}, "negative_volume"),
        ({"trade_count": "1.5"}, "not_a_number"),
        ({"ts": None}, "timestamp_out_of_range"),
        ({"ts": datetime(1970, 1, 20, 22, tzinfo=UTC)}, "timestamp_out_of_range"),  # seconds read as milliseconds
        ({"ts": datetime(9999, 1, 1, tzinfo=UTC)}, "timestamp_out_of_range"),
        ({"ts": T0 + timedelta(seconds=90)}, "misaligned"),
        ({"ts": T0 - MINUTE}, "outside_window"),
        ({"ts": T0 + timedelta(hours=1)}, "outside_window"),
    ],
)
def test_a_faulty_bar_is_rejected_by_its_rule_alone_and_its_neighbours_are_stored(change, rule):
    good, findings = checked(bars({}, change, {}))
    assert [f.rule for f in findings] == [rule]
    assert (findings[0].severity, findings[0].rows, findings[0].instrument) == ("reject", 1, "BTC-USDT")
    assert good["ts"].to_list() == [T0, T0 + 2 * MINUTE]


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "Infinity",
        "-inf",
        "",
        " 1",
        "1 ",
        "0x1",
        "1_000",
        "1,5",
        "1e400",
        "9" * 400,
        "1e-400",
        "0e99999",
        "٣",
        "1\x00",
    ],
)
def test_text_that_is_no_finite_decimal_is_rejected(text):
    good, findings = checked(bars({"volume": text}, {}))
    assert [f.rule for f in findings] == ["not_a_number"]
    assert good.height == 1
    assert "\x00" not in findings[0].sample


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=Decimal("1e-12"), max_value=Decimal(10**20))
)
def test_any_decimal_is_a_number_and_keeps_its_text(price):
    text = str(price)
    good, findings = checked(bars(dict.fromkeys(("open", "high", "low", "close"), text)))
    assert findings == []
    assert good["open"].to_list() == [text]


def test_a_warning_is_only_given_for_a_row_that_is_stored():
    good, findings = checked(bars({"close": "99"}, {"close": "99", "volume": "x"}, {"close": "-inf"}))
    assert {(f.rule, f.rows) for f in findings} == {("price_outside_range", 1), ("not_a_number", 2)}
    assert good.height == 1
    assert [f.rule for f in checked(bars({"close": "99", "volume": "x"}))[1]] == ["not_a_number"]


@pytest.mark.parametrize("change", [{"open": "12.01"}, {"close": "8.99"}])
def test_an_open_or_close_outside_the_range_is_stored_with_a_warning(change):
    good, findings = checked(bars(change))
    assert [(f.rule, f.severity) for f in findings] == [("price_outside_range", "warn")]
    assert good.height == 1


def test_a_bar_of_the_future_is_rejected_beyond_the_tolerance_of_clocks():
    frame = bars({}, {})
    good, findings = checked(frame, observed_at=T0 + timedelta(seconds=54))
    assert [f.rule for f in findings] == ["timestamp_in_future"]
    assert good.height == 1
    assert checked(frame, observed_at=T0 + timedelta(seconds=56))[1] == []


def test_daily_bars_may_be_older_than_any_exchange_that_trades_by_the_minute():
    old = frame_of({**BAR, "ts": datetime(1962, 1, 2, tzinfo=UTC)})
    assert checked(old, interval="1d", start=None, end=None)[1] == []
    assert [f.rule for f in checked(old, start=None, end=None)[1]] == ["timestamp_out_of_range"]


def test_of_repeats_the_last_sound_one_is_stored():
    repeats = [{"ts": T0, "close": close} for close in ("9.5", "10.5", "x")]
    good, findings = checked(bars({"ts": T0 + MINUTE}, *repeats))
    assert good["close"].to_list() == ["11", "10.5"]
    assert {f.rule: f.rows for f in findings} == {"not_a_number": 1, "duplicate_row": 1}


def test_a_quote_of_one_side_is_stored_and_one_without_any_price_is_not():
    """A market without orders on a side is a fact; of a row without any price nothing is known."""
    bid, ask = ("bid", "bid_size"), ("ask", "ask_size")
    missing = {"BID": ask, "ASK": bid, "NONE": (*bid, *ask)}
    rows = [{**QUOTE, "instrument": name, **dict.fromkeys(columns)} for name, columns in missing.items()]
    good, findings = checked(frame_of(*rows, dataset="quotes"), dataset="quotes", interval=None, start=None, end=None)
    assert good["instrument"].to_list() == ["BID", "ASK"]
    assert [(f.rule, f.instrument) for f in findings] == [("null_price", "NONE")]


def test_a_crossed_quote_is_stored_with_a_warning_and_a_null_one_is_not():
    frame = frame_of(
        {**QUOTE, "bid": "12"},
        {**QUOTE, "instrument": "ETH-USDT", "bid": None, "ask": None},
        {**QUOTE, "instrument": "LTC-USDT", "bid_size": "-1"},
        {**QUOTE, "instrument": "XRP-USDT", "bid": "11"},
        dataset="quotes",
    )
    good, findings = checked(frame, dataset="quotes", interval=None, start=None, end=None)
    assert good["instrument"].to_list() == ["BTC-USDT", "XRP-USDT"]
    assert {(f.rule, f.instrument) for f in findings} == {
        ("crossed_quote", "BTC-USDT"),
        ("null_price", "ETH-USDT"),
        ("negative_volume", "LTC-USDT"),
    }


def test_findings_count_per_instrument_and_answer_and_show_at_most_five_rows():
    rows = [{"high": "1", "instrument": name} for name in ["AAPL"] * 9 + ["MSFT"]]
    frame = bars(*rows).with_columns(answer=pl.Series([0] * 7 + [1] * 3, dtype=pl.Int32))
    _, findings = checked(frame)
    assert [(f.instrument, f.answer, f.rows) for f in findings] == [("AAPL", 0, 7), ("AAPL", 1, 2), ("MSFT", 1, 1)]
    assert findings[0].ts == T0
    assert len(findings[0].sample.splitlines()) == 5


def test_the_observation_of_a_row_goes_before_the_observation_of_the_batch():
    observed = pl.Series([T0 - MINUTE, T0 + 2 * MINUTE], dtype=pl.Datetime("us", "UTC"))
    good, findings = checked(bars({}, {}).with_columns(observed_at=observed))
    assert [f.rule for f in findings] == ["timestamp_in_future"]
    assert good["ts"].to_list() == [T0 + MINUTE]


@given(
    st.lists(
        st.sampled_from([{}, {"open": None}, {"high": "1"}, {"close": "x"}, {"ts": T0}, {"ts": None}]), max_size=12
    )
)
def test_every_row_is_stored_or_counted_in_a_finding(changes):
    frame = bars(*changes)
    good, findings = checked(frame)
    dropped = sum(f.rows for f in findings)
    assert good.height + dropped == frame.height
    assert good.select("instrument", "ts").is_unique().all()


def test_an_empty_batch_gives_nothing():
    good, findings = checked(bars())
    assert good.height == 0
    assert findings == []


def test_rejects_of_a_parser_become_findings_with_their_rows():
    rejects = [Reject("BTC-USDT", "wrong_shape", "too short", f"[{i}]") for i in range(7)]
    (finding,) = findings_of([*rejects], answer=3)
    assert (finding.rows, finding.answer, finding.reason) == (7, 3, "too short")
    assert finding.sample.splitlines() == ["[0]", "[1]", "[2]", "[3]", "[4]"]


def test_every_rule_has_a_meaning_of_one_sentence():
    assert all(rule.meaning.endswith(".") and rule.meaning.count(". ") == 0 for rule in RULES.values())
