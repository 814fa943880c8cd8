"""The write path for trades and books: keys of more than a time, arrays of levels, and no write without a change."""

from __future__ import annotations

from decimal import Decimal

from models.upsert import Written
from tests.models.rows import DAY, OBSERVED, ledger, select, store


def trade(number, *, observed=0, **values):
    row = {"series_id": 1, "ts": DAY, "trade_id": number, "price": "1.10", "size": "0.00000001", "side": "buy"}
    return row | {"observed_at": OBSERVED.replace(second=observed), "job_id": 1} | values


def book(**values):
    row = {"series_id": 1, "ts": DAY, "bid_prices": '"{1.10,1.00}"', "bid_sizes": '"{1,2.50}"', "ask_prices": "{}"}
    return row | {"ask_sizes": "{}", "sequence": "7", "observed_at": OBSERVED, "job_id": 1} | values


def test_trades_of_one_moment_are_stored_side_by_side_and_counted(sessions):
    assert store(sessions, trade(1), trade(2), trade(3), dataset="trades") == Written(3, 0, 0)
    assert select(sessions, "SELECT trade_id, price::text, size::text FROM trades ORDER BY 1") == [
        (number, "1.10", "0.00000001") for number in (1, 2, 3)
    ]
    assert ledger(sessions) == [(DAY.date(), 3, 3)]


def test_a_trade_seen_again_later_as_it_was_is_not_written_again(sessions):
    store(sessions, trade(1), trade(2), dataset="trades")
    before = select(sessions, "SELECT xmin::text, * FROM trades ORDER BY trade_id")
    again = [trade(1, observed=5, job_id=2, price="1.1"), trade(2, observed=5, job_id=2), trade(3, observed=5)]
    assert store(sessions, *again, dataset="trades") == Written(1, 0, 0)
    assert select(sessions, "SELECT xmin::text, * FROM trades WHERE trade_id < 3 ORDER BY trade_id") == before
    assert ledger(sessions) == [(DAY.date(), 3, 3)]


def test_a_trade_that_the_provider_corrected_replaces_the_old_one_which_is_kept_as_a_revision(sessions):
    store(sessions, trade(1), dataset="trades")
    assert store(sessions, trade(1, observed=5, price="1.2", job_id=2), dataset="trades") == Written(0, 1, 1)
    assert select(sessions, "SELECT price, job_id FROM trades") == [(Decimal("1.2"), 2)]
    [(old,)] = select(sessions, "SELECT old_row->>'price' FROM revisions")
    assert old == "1.10"
    assert store(sessions, trade(1, observed=1, price="9"), dataset="trades") == Written(0, 0, 0)


def test_a_books_levels_keep_every_digit_and_the_best_is_the_first(sessions):
    assert store(sessions, book(), dataset="books") == Written(1, 0, 0)
    found = select(sessions, "SELECT bid_prices[1]::text, bid_sizes[2]::text, ask_prices, sequence FROM books")
    assert found == [("1.10", "2.50", [], 7)]
    assert ledger(sessions) == [(DAY.date(), 1, 1)]
