"""The quality rules of trades and books: each catches its fault and no other."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.market.quality import RULES, check
from ingest.market.records import VALUE_COLUMNS

AT = datetime(2024, 1, 1, tzinfo=UTC)
TRADE = {"instrument": "BTC-USDT", "ts": AT, "trade_id": "7", "price": "10.50", "size": "0.1", "side": "buy"}
BOOK = {
    "instrument": "BTC-USDT",
    "ts": AT,
    "bid_prices": "10.5,10.4",
    "bid_sizes": "1,2",
    "ask_prices": "10.6,10.70",
    "ask_sizes": "3,0",
    "sequence": "5",
}


def checked(dataset, *rows):
    schema = {"instrument": pl.String, "ts": pl.Datetime("us", "UTC")} | dict.fromkeys(
        VALUE_COLUMNS[dataset], pl.String
    )
    frame = pl.DataFrame(list(rows), schema=schema)
    good, findings = check(frame, dataset=dataset, interval=None, start=None, end=None, observed_at=AT)
    return good, [(one.rule, one.severity) for one in findings]


TRADES = [
    ({"trade_id": None}, "null_price"),
    ({"price": None}, "null_price"),
    ({"size": None}, "null_price"),
    ({"price": "x"}, "not_a_number"),
    ({"trade_id": "7.5"}, "not_a_number"),
    ({"trade_id": "9" * 25}, "not_a_number"),
    ({"size": "-0.1"}, "negative_volume"),
    ({"side": "b"}, "unknown_side"),
]
BOOKS = [
    ({"bid_prices": None}, "null_price"),
    ({"ask_sizes": "3,x"}, "not_a_number"),
    ({"bid_sizes": "1,"}, "not_a_number"),
    ({"ask_prices": "10.6,1e99999"}, "not_a_number"),
    ({"sequence": "1.5"}, "not_a_number"),
    ({"bid_sizes": "1,-2"}, "negative_volume"),
    ({"bid_sizes": "1"}, "uneven_levels"),
    ({"bid_prices": "10.4,10.5"}, "unsorted_levels"),
    ({"ask_prices": "10.6,10.6"}, "unsorted_levels"),
]


@pytest.mark.parametrize(("change", "rule"), TRADES)
def test_a_bad_trade_is_rejected_by_its_rule_alone(change, rule):
    good, found = checked("trades", TRADE, TRADE | {"trade_id": "8"} | change)
    assert good.height == 1
    assert found == [(rule, "reject")]


@pytest.mark.parametrize(("change", "rule"), BOOKS)
def test_a_bad_book_is_rejected_by_its_rule_alone(change, rule):
    good, found = checked("books", BOOK | {"instrument": "ETH-USDT"}, BOOK | change)
    assert good.height == 1
    assert found == [(rule, "reject")]


def test_a_trade_without_a_side_and_a_book_without_a_side_or_a_number_are_good():
    assert checked("trades", TRADE | {"side": None})[1] == []
    good, found = checked("books", BOOK | {"bid_prices": "", "bid_sizes": "", "sequence": None})
    assert (good.height, found) == (1, [])


def test_a_crossed_book_is_stored_with_a_warning():
    good, found = checked("books", BOOK | {"bid_prices": "10.8,10.4"})
    assert (good.height, found) == (1, [("crossed_quote", "warn")])


def test_trades_of_one_moment_are_told_apart_by_their_numbers_and_a_repeated_one_is_stored_once():
    rows = [TRADE, TRADE | {"trade_id": "8"}, TRADE | {"trade_id": "8", "size": "0.3"}]
    good, found = checked("trades", *rows)
    assert good["trade_id"].to_list() == ["7", "8"]
    assert good["size"].to_list() == ["0.1", "0.3"]
    assert found == [("duplicate_row", "warn")]


levels = st.lists(st.decimals("0.00000001", "1000000", places=8), min_size=0, max_size=30, unique=True)


@given(levels, levels)
def test_a_sorted_book_of_any_depth_passes_unchanged(bids, asks):
    sides = {
        "bid_prices": ",".join(map(str, sorted(bids, reverse=True))),
        "bid_sizes": ",".join("1" for _ in bids),
        "ask_prices": ",".join(map(str, sorted(asks))),
        "ask_sizes": ",".join("2" for _ in asks),
    }
    good, found = checked("books", BOOK | sides)
    assert good.row(0, named=True) == BOOK | sides
    crosses = bool(bids and asks and max(bids) > min(asks))
    assert found == ([("crossed_quote", "warn")] if crosses else [])


@given(st.text("0123456789.,-eE+ xn", max_size=30), st.sampled_from(["bid_prices", "bid_sizes", "ask_sizes"]))
def test_no_text_among_the_levels_makes_the_rules_raise(text, column):
    good, found = checked("books", BOOK | {column: text})
    assert good.height == 1 or found
    assert {rule for rule, _ in found} <= set(RULES)
