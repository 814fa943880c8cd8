"""What the ledger says of a day once answers were stored, and that it says nothing that is not in the tables."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models.upsert import row_hash
from tests.pipeline.farm import DAY, bars_call

WHOLE = 24 * 60


def day_of(farm, day=DAY):
    [row] = farm.select(
        "SELECT state, expected, stored, final, once::text, twice::text FROM ledger WHERE day = :day", day=day.date()
    )
    return row


def ledger_hash(farm, day=DAY):
    return farm.value("SELECT hash FROM ledger WHERE day = :day", day=day.date())


def table_hash(farm, table="bars", day=DAY):
    return farm.value(
        f"SELECT coalesce(bit_xor({row_hash(table, table)}), 0) FROM {table} WHERE ts >= :day AND ts < :next",
        day=day,
        next=day + timedelta(days=1),
    )


def heal(farm, **changes):
    farm.owe("binance", bars_call(minutes=WHOLE), key=f"gap:test:{changes}")
    farm.run()


def test_a_day_that_came_whole_is_verified_and_the_hash_is_that_of_its_rows(farm):
    farm.owe("binance", bars_call(minutes=WHOLE))
    farm.run()
    state, expected, stored, final, once, twice = day_of(farm)
    assert (state, expected, stored, final) == ("verified", WHOLE, WHOLE, WHOLE)
    assert once == '{["2024-03-05 00:00:00+00","2024-03-06 00:00:00+00")}'
    assert twice == "{}"
    assert ledger_hash(farm) == table_hash(farm) != 0


def test_a_day_is_verified_once_its_last_part_is_there(farm):
    farm.owe("binance", bars_call(minutes=600))
    farm.run()
    assert day_of(farm)[:3] == ("fetched", WHOLE, 600)
    farm.owe("binance", bars_call(minutes=840, start=DAY + timedelta(minutes=600)))
    farm.run()
    assert day_of(farm)[:3] == ("verified", WHOLE, WHOLE)
    assert ledger_hash(farm) == table_hash(farm)


def test_a_second_answer_makes_what_it_covers_twice_answered(farm):
    for _ in range(2):
        farm.owe("binance", bars_call(minutes=600))
        farm.run()
    assert day_of(farm)[5] == '{["2024-03-05 00:00:00+00","2024-03-05 10:00:00+00")}'


def test_history_that_ends_within_a_day_and_begins_within_another_is_counted_day_by_day(farm):
    farm.owe("binance", bars_call(minutes=2 * WHOLE, start=DAY + timedelta(hours=12)))
    farm.run()
    states = farm.select("SELECT state, expected, stored FROM ledger ORDER BY day")
    assert states == [("fetched", WHOLE, 720), ("verified", WHOLE, WHOLE), ("fetched", WHOLE, 720)]


def test_a_row_that_was_not_answered_makes_the_day_suspect(farm):
    farm.owe("binance", bars_call(minutes=WHOLE))
    farm.run()
    farm.change("UPDATE bars SET ts = ts + interval '30 seconds' WHERE ts = :ts", ts=DAY + timedelta(hours=3))
    farm.owe("binance", bars_call(minutes=WHOLE))
    farm.run()
    assert day_of(farm)[0] == "suspect"


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM bars WHERE extract(minute FROM ts) = 7",
        "UPDATE bars SET close = close + 1 WHERE extract(hour FROM ts) = 5",
        "UPDATE bars SET close = close + 1, observed_at = now() + interval '1 day' WHERE extract(hour FROM ts) = 5",
        "UPDATE bars SET ts = ts + interval '1 second' WHERE extract(hour FROM ts) = 5",
        "UPDATE bars SET is_final = false WHERE extract(hour FROM ts) = 5",
        "UPDATE bars SET (open, high, low, close) = (SELECT open, high, low, close FROM bars AS other"
        " WHERE other.ts = CASE WHEN bars.ts = '2024-03-05 01:00Z' THEN timestamptz '2024-03-05 02:00Z'"
        " ELSE '2024-03-05 01:00Z' END) WHERE ts IN ('2024-03-05 01:00Z', '2024-03-05 02:00Z')",
    ],
)
def test_a_suspect_day_is_healed_to_what_it_was_by_one_whole_answer(farm, harm):
    farm.owe("binance", bars_call(minutes=WHOLE))
    farm.run()
    before = ledger_hash(farm), day_of(farm)[:4]
    farm.change(harm)
    farm.change("UPDATE ledger SET state = 'suspect', once = '{}', twice = '{}'")  # what a scrub says
    farm.owe("binance", bars_call(minutes=WHOLE))
    farm.run()
    assert day_of(farm)[0] == "suspect"  # whoever fetches it for another reason proves nothing
    heal(farm)
    assert (ledger_hash(farm), day_of(farm)[:4]) == before
    assert table_hash(farm) == before[0]
    assert farm.value("SELECT count(*) FROM bars WHERE NOT is_final") == 0


def test_a_suspect_day_keeps_what_an_answer_with_rows_missing_does_not_hold(farm):
    farm.owe("binance", bars_call(minutes=WHOLE))
    farm.run()
    farm.change("UPDATE ledger SET state = 'suspect', once = '{}', twice = '{}'")
    farm.sandbox.arm("binance", "short_page", times=2)
    farm.owe("binance", bars_call(minutes=WHOLE), key="gap:short")
    farm.run_once()
    assert farm.value("SELECT count(*) FROM bars") == WHOLE
    assert day_of(farm)[0] == "suspect"
    farm.run(within=timedelta(hours=2))  # the short pages once more, and whole
    assert day_of(farm)[:3] == ("verified", WHOLE, WHOLE)
    assert ledger_hash(farm) == table_hash(farm)


def test_an_older_answer_that_is_stored_late_says_nothing_against_newer_rows(farm):
    farm.owe("binance", bars_call(minutes=60))
    [older] = farm.begin()
    assert farm.fetch(older).state == "fetched"
    farm.owe("binance", bars_call(minutes=60))
    farm.run_once()
    farm.change("UPDATE bars SET close = close + 1")
    farm.load(older)
    assert day_of(farm)[0] == "fetched"


def test_a_row_that_comes_for_a_minute_taken_for_empty_takes_the_day_s_proof_away(farm):
    farm.owe("binance", bars_call(minutes=600))
    farm.run()
    farm.change("UPDATE ledger SET state = 'verified', confirmed = expected - stored")
    farm.owe("binance", bars_call(minutes=2, start=DAY + timedelta(hours=10)))
    farm.run()
    assert day_of(farm)[:3] == ("fetched", WHOLE, 602)
    assert farm.value("SELECT confirmed FROM ledger") == 0
