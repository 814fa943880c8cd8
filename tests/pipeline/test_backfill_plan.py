"""A plan says what a backfill would take, as worked out by hand, and changes nothing."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest import providers
from ingest.errors import FixRequest
from ingest.pipeline.backfill_cost import cost_of
from ingest.pipeline.backfill_plan import check_ask, plan
from ingest.wire import Limit
from tests.pipeline.farm import DAY, bars_call

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WHOLE = 24 * 60
A_MINUTE, A_DAY = Limit(100, 60, "made up"), Limit(25, 86_400, "made up")


@pytest.fixture
def paced(settings_of):
    """Return settings under which the providers' limits hold."""
    return settings_of(tickfarm_pace=True)


@pytest.fixture
def planned(farm, paced):
    """Return what plans bars."""

    def run(name, *instruments, start, end, interval="1m", mode="missing", dataset="bars", now=NOW):
        window = {"interval": interval, "start": start, "end": end, "mode": mode}
        ask = check_ask(paced, providers.get(name), dataset, instruments, now=now, **window)
        with farm.context.sessions() as session:
            return plan(session, paced, ask, now)

    return run


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def names(count):
    return [f"S{chr(65 + one // 26)}{chr(65 + one % 26)}" for one in range(count)]


def test_ninety_days_of_fourteen_pairs_at_binance_as_worked_out_by_hand(planned):
    found = planned("binance", *(f"{one}-USDT" for one in names(14)), start=at("2024-01-01"), end=at("2024-03-31"))
    assert (found.days, found.days_missing, found.days_verified) == (14 * 90, 14 * 90, 0)
    assert found.rows == 14 * 90 * WHOLE  # 129,600 of each pair
    assert found.jobs == 14 * 26  # of 5,000 rows, the last one of 4,600
    assert found.requests == 14 * 130  # pages of 1,000
    assert found.weight == 2 * 14 * 130
    # 6,000 weight a minute, of which live keeps a fifth: 3,640 / 4,800 minutes.
    assert found.cost.takes == timedelta(seconds=45.5)
    assert (found.cost.quota_days, found.is_least) == (0, False)
    assert found.disk_bytes == found.rows * found.row_bytes


def test_ten_days_at_coinbase_as_worked_out_by_hand(planned):
    found = planned("coinbase", "BTC-USD", start=at("2024-01-01"), end=at("2024-01-11"))
    assert (found.rows, found.jobs, found.requests, found.weight) == (14_400, 3, 48, 48)  # pages of 300, 16 a job
    assert found.cost.takes == timedelta(seconds=6)  # ten a second, less two for live


def test_sixty_shares_at_twenty_five_requests_a_day_as_worked_out_by_hand(farm, planned):
    ask = {"start": at("2023-01-01"), "end": at("2024-01-01"), "interval": "1d"}
    found = planned("alpha_vantage", *names(60), **ask)
    assert (found.rows, found.jobs, found.requests) == (60 * 250, 60, 60)  # New York traded on 250 days of 2023
    assert found.cost.quota_days == 3  # 25, 25 and 10
    assert found.cost.takes == timedelta(days=2)  # 25 today, the rest after the windows that follow
    farm.change(
        "INSERT INTO quota_use (provider, pool, unit, hour, used)"
        " VALUES ('alpha_vantage', '', 'requests', CAST(:at AS timestamptz) - interval '1 hour', 20)",
        at=NOW,
    )
    assert planned("alpha_vantage", *names(60), **ask).cost.takes == timedelta(days=3)  # 5 are left of today


def test_minutes_of_shares_cost_alpha_vantage_one_request_a_month(planned):
    found = planned("alpha_vantage", "AAPL", start=at("2023-01-01"), end=at("2023-04-01"))
    assert (found.jobs, found.requests) == (3, 3)
    assert found.rows == 62 * 6.5 * 60  # New York's sessions of a quarter


def test_each_key_has_a_quota_of_its_own_and_the_slowest_limit_decides():
    used = {"used": lambda limit: 0}
    one, two = (cost_of((A_MINUTE, A_DAY), "bars", 60, 60, keys=keys, **used) for keys in (1, 2))
    assert (one.quota_days, one.takes, one.limit) == (3, timedelta(days=2), A_DAY)
    assert (two.quota_days, two.takes, two.limit) == (2, timedelta(days=1), A_DAY)
    quick = cost_of((A_MINUTE, A_DAY), "bars", 20, 20, keys=1, **used)
    assert (quick.takes, quick.limit) == (timedelta(seconds=15), A_MINUTE)
    others = replace(A_MINUTE, datasets=("quotes",))
    assert cost_of((others,), "bars", 60, 60, keys=1, **used).limit is None


def test_what_is_verified_suspect_or_partly_there_is_counted_as_the_ledger_has_it(farm, planned):
    for at_day in (0, 1, 3):
        farm.owe("binance", bars_call(minutes=WHOLE, start=DAY + timedelta(days=at_day)))
    farm.owe("binance", bars_call(minutes=600, start=DAY + timedelta(days=2)))
    farm.run()
    farm.change("UPDATE ledger SET state = 'suspect' WHERE day = '2024-03-06'")
    window = {"start": DAY, "end": DAY + timedelta(days=5)}
    before = farm.select("SELECT * FROM ledger ORDER BY day")
    found = planned("binance", "BTC-USDT", **window)
    assert (found.days_missing, found.days_suspect, found.days_verified) == (2, 1, 2)
    assert (found.jobs, found.rows) == (2, WHOLE - 600 + WHOLE)
    suspect, everything = (planned("binance", "BTC-USDT", mode=mode, **window) for mode in ("suspect", "all"))
    assert (suspect.jobs, suspect.rows) == (3, found.rows + WHOLE)
    assert everything.rows == 5 * WHOLE
    assert farm.select("SELECT * FROM ledger ORDER BY day") == before
    assert farm.value("SELECT count(*) FROM jobs WHERE state <> 'done'") == 0
    assert farm.value("SELECT count(*) FROM backfills") == 0


def test_what_is_followed_is_asked_for_up_to_midnight_and_anything_else_up_to_now(farm, planned):
    window = {"start": NOW - timedelta(days=3, hours=12), "end": NOW + timedelta(days=1)}
    assert planned("binance", "BTC-USDT", **window).rows == 3 * WHOLE + 12 * 60 - 1  # the newest has not settled
    farm.change(
        "INSERT INTO series (provider, dataset, instrument, interval, followed)"
        " VALUES ('binance', 'bars', 'BTC-USDT', '1m', true)"
    )
    assert planned("binance", "BTC-USDT", **window).rows == 3 * WHOLE


def test_what_lies_beyond_the_reach_is_cut_off_and_what_lies_beyond_it_whole_is_refused(planned):
    found = planned("kraken", "BTC-USD", start=NOW - timedelta(days=2), end=NOW)
    assert found.rows == 719  # the newest of its 720 bars has not settled
    with pytest.raises(FixRequest, match="newest 720 bars"):
        planned("kraken", "BTC-USD", start=NOW - timedelta(days=3), end=NOW - timedelta(days=2))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": "quotes", "interval": None}, "no history"),
        ({"mode": "everything"}, "mode"),
        ({"end": at("2023-12-01")}, "nothing to ask for"),
        ({"interval": None}, "need an interval"),
        ({"dataset": "trades", "interval": None}, "--start 2024-01-01 lies before what is kept"),
    ],
)
def test_what_can_not_be_brought_is_refused(planned, changed, said):
    with pytest.raises(FixRequest, match=said):
        planned("binance", "BTC-USDT", **{"start": at("2024-01-01"), "end": at("2024-02-01")} | changed)


def test_of_trades_the_first_pages_are_known_and_rows_only_from_days_that_are_there(farm, planned):
    window = {"start": NOW - timedelta(days=2, hours=12), "end": NOW - timedelta(hours=12)}
    found = planned("binance", "BTC-USDT", dataset="trades", interval=None, **window)
    assert (found.days, found.jobs, found.requests, found.is_least) == (2, 48, 48, True)
    assert (found.rows, found.disk_bytes) == (None, None)
    farm.change(
        "WITH known AS (INSERT INTO series (provider, dataset, instrument) VALUES ('binance', 'trades', 'BTC-USDT')"
        " RETURNING id) INSERT INTO ledger (series_id, day, stored, final, state, job_id, updated_at)"
        " SELECT id, '2024-03-05', 5000, 5000, 'verified', 1, now() FROM known"
    )
    assert planned("binance", "BTC-USDT", dataset="trades", interval=None, **window).rows == 10_000


def test_ten_years_of_a_hundred_instruments_are_planned_without_holding_them(planned):
    pairs = [f"{one}-USDT" for one in names(100)]
    tracemalloc.start()
    found = planned("binance", *pairs, start=at("2014-01-01"), end=at("2024-01-01"))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.days, found.rows) == (100 * 3_652, 100 * 3_652 * WHOLE)
    assert found.jobs == 100 * 1_052
    # A series' windows, and the chunks that all of them share.
    assert most < 32 * 1024 * 1024
