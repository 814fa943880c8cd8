"""The write path: the later observation wins, revisions keep what final rows said, digits stay exact."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from models.upsert import Written
from tests.models.rows import DAY, OBSERVED, bar, counted, ledger, quote, select, store, to_csv
from tests.stored_rows import write

CLOSE = "SELECT close::text FROM bars"


def test_a_later_observation_replaces_an_earlier_one(sessions):
    assert store(sessions, bar(close="1.1")) == Written(1, 0, 0)
    assert store(sessions, bar(close="1.2", observed=1, job_id=2)) == Written(0, 1, 1)
    assert select(sessions, "SELECT close::text, job_id, observed_at FROM bars") == [
        ("1.2", 2, OBSERVED + timedelta(seconds=1))
    ]


@pytest.mark.parametrize("observed", [0, -1, -86_400])
def test_an_equal_or_older_observation_changes_nothing_whoever_brings_it(sessions, observed):
    store(sessions, bar(close="1.1"))
    assert store(sessions, bar(close="9.9", observed=observed, job_id=2, is_final="f")) == Written(0, 0, 0)
    assert select(sessions, "SELECT close::text, job_id, is_final FROM bars") == [("1.1", 1, True)]
    assert ledger(sessions) == [(DAY.date(), 1, 1)]
    assert select(sessions, "SELECT count(*) FROM revisions") == [(0,)]


def test_writing_the_same_batch_again_changes_nothing(sessions):
    rows = [bar(minute, close=f"{minute}.5") for minute in range(50)]
    assert store(sessions, *rows) == Written(50, 0, 0)
    before = select(sessions, "SELECT xmin::text, * FROM bars ORDER BY ts")
    assert store(sessions, *rows) == Written(0, 0, 0)
    assert select(sessions, "SELECT xmin::text, * FROM bars ORDER BY ts") == before


def test_of_repeats_in_one_batch_the_latest_observation_is_stored_once(sessions):
    rows = [bar(close="1.1"), bar(close="1.3", observed=2), bar(close="1.2", observed=1)]
    assert store(sessions, *rows) == Written(1, 0, 0)
    assert select(sessions, CLOSE) == [("1.3",)]
    assert ledger(sessions) == [(DAY.date(), 1, 1)]


def test_a_batch_without_rows_changes_nothing(sessions):
    assert store(sessions) == Written(0, 0, 0)
    assert ledger(sessions) == []


def test_two_batches_in_one_transaction_are_both_stored(sessions):
    with sessions.begin() as session:
        first = write(session, "bars", to_csv("bars", [bar(0), bar(1)]))
        second = write(session, "bars", to_csv("bars", [bar(1, close="1.25", observed=1), bar(2)]))
    assert (first, second) == (Written(2, 0, 0), Written(1, 1, 1))
    assert ledger(sessions) == counted(sessions) == [(DAY.date(), 3, 3)]


def test_a_revision_keeps_the_whole_old_row_with_its_digits_and_both_times(sessions):
    digits = "12345678901234567890.12345678901234567890"
    store(sessions, bar(close=digits, volume="1.10", trade_count=9_007_199_254_740_993))
    assert store(sessions, bar(close="2", observed=60, job_id=7)).revised == 1
    [(ts, observed, superseded, job)] = select(
        sessions, "SELECT ts, known_since, superseded_at, job_id FROM revisions WHERE series_id = 1"
    )
    assert (ts, observed, superseded, job) == (DAY, OBSERVED, OBSERVED + timedelta(seconds=60), 7)
    old = "SELECT old_row->>'close', old_row->>'volume', old_row->>'trade_count', old_row->>'open' FROM revisions"
    assert select(sessions, old) == [(digits, "1.10", "9007199254740993", "1.10")]


def test_each_correction_of_a_final_row_is_a_revision_of_its_own(sessions):
    for second, close in enumerate(["1", "2", "3", "4"]):
        store(sessions, bar(close=close, observed=second))
    history = "SELECT old_row->>'close', superseded_at - known_since FROM revisions ORDER BY id"
    assert select(sessions, history) == [(close, timedelta(seconds=1)) for close in "123"]


def test_a_row_that_was_not_final_yet_leaves_no_revision(sessions):
    store(sessions, bar(close="1.1", is_final="f"))
    assert store(sessions, bar(close="1.2", observed=60)) == Written(0, 1, 0)
    assert ledger(sessions) == [(DAY.date(), 1, 1)]


def test_seeing_the_same_values_again_is_no_revision_but_the_observation_moves_on(sessions):
    store(sessions, bar())
    assert store(sessions, bar(observed=60, job_id=2)) == Written(0, 1, 0)
    assert select(sessions, "SELECT observed_at, job_id FROM bars") == [(OBSERVED + timedelta(seconds=60), 2)]


def test_the_same_number_with_more_zeros_is_no_revision(sessions):
    store(sessions, bar(close="1.1"))
    assert store(sessions, bar(close="1.100", observed=1)).revised == 0


@pytest.mark.parametrize(("before", "after"), [("7", None), (None, "7")])
def test_a_value_that_appears_or_disappears_is_a_revision(sessions, before, after):
    store(sessions, bar(volume=before))
    assert store(sessions, bar(volume=after, observed=1)).revised == 1
    assert select(sessions, "SELECT old_row->>'volume' FROM revisions") == [(before,)]


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1234567890123456789012345678901234567.890", "1234567890123456789012345678901234567.890"),
        ("0.0000000000000000000000000000000000000001", "0.0000000000000000000000000000000000000001"),
        ("1.10", "1.10"),
        ("-0", "0"),
        ("-0.00", "0.00"),
        ("1e5", "100000"),
        ("1.5E-7", "0.00000015"),
        ("0.1", "0.1"),
        ("+2", "2"),
    ],
)
def test_a_decimal_is_stored_digit_by_digit(sessions, written, stored):
    store(sessions, bar(close=written), bar(1))
    store(sessions, quote(bid=written), dataset="quotes")
    assert select(sessions, f"{CLOSE} WHERE ts = :ts", ts=DAY) == [(stored,)]
    assert select(sessions, "SELECT bid::text FROM quotes") == [(stored,)]
    assert Decimal(stored) == Decimal(written)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    ("dataset", "column"),
    [("bars", c) for c in ("open", "high", "low", "close", "volume", "adjusted_close", "quote_volume")]
    + [("quotes", c) for c in ("bid", "bid_size", "ask", "ask_size", "last")],
)
def test_what_is_no_finite_number_is_refused_whole(sessions, dataset, column, value):
    row = (bar if dataset == "bars" else quote)(5, **{column: value})
    good = (bar if dataset == "bars" else quote)(6)
    with pytest.raises(IntegrityError, match=f"{dataset}_{column}_finite"):
        store(sessions, good, row, dataset=dataset)
    assert counted(sessions, dataset) == ledger(sessions) == []


def test_text_that_is_no_number_is_refused_and_the_connection_stays_good(sessions):
    for close in ("12,5", "twelve", ""):
        with pytest.raises((DataError, IntegrityError)):
            store(sessions, bar(close=close))
    assert store(sessions, bar()) == Written(1, 0, 0)


def test_a_copy_that_the_server_ends_fails_as_infrastructure_does_so_that_it_is_repeated(sessions):
    rows = to_csv("bars", [bar()]) * 200_000
    with sessions.begin() as session:
        write(session, "bars", to_csv("bars", [bar()]))
        session.execute(text("SET LOCAL statement_timeout = '100ms'"))
        with pytest.raises(OperationalError, match="statement timeout") as caught:
            write(session, "bars", rows)
        session.rollback()
    assert "COPY" in str(caught.value.statement)


def test_a_refused_batch_does_not_show_its_rows_in_the_error(sessions):
    with pytest.raises(DataError) as caught:
        store(sessions, bar(close="1.5", volume="oops"), bar(1, close="31337.25"))
    assert "31337.25" not in str(caught.value)


def test_quotes_follow_the_same_rules_and_are_never_revised(sessions):
    rows = [quote(0), quote(1), quote(1, ask="1.12", observed=1), quote(24 * 60)]
    assert store(sessions, *rows, dataset="quotes") == Written(3, 0, 0)
    assert store(sessions, quote(0, bid="1.0", observed=-1), dataset="quotes") == Written(0, 0, 0)
    assert store(sessions, quote(0, bid="1.05", observed=1), dataset="quotes") == Written(0, 1, 0)
    assert select(sessions, "SELECT bid::text, ask::text FROM quotes ORDER BY ts") == [
        ("1.05", "1.11"),
        ("1.10", "1.12"),
        ("1.10", "1.11"),
    ]
    assert ledger(sessions) == counted(sessions, "quotes")
    assert [row[1:] for row in ledger(sessions)] == [(2, 2), (1, 1)]
