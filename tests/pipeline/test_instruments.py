"""Instruments: what a provider lists, found by a part of a name or a pattern; names that end, and what goes on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from benchmarks.conformance_play import cells
from ingest import providers
from ingest.errors import FixRequest, UnknownName
from ingest.pipeline import by_hand
from ingest.pipeline.follow import follow
from ingest.pipeline.instruments import end_instrument, expand, listed_instruments, search
from ingest.pipeline.status import series_status
from ingest.pipeline.terms import refuse_unusable
from ingest.providers import get
from local.farm_processes import sandbox_settings
from tests.tester import TESTER

NOW = datetime.now(UTC)
DAY = datetime(2026, 6, 9, tzinfo=UTC)


def test_a_part_of_a_name_finds_those_that_hold_it_and_a_slip_the_nearest(farm):
    binance = get("binance")
    assert set(search(farm.context, binance, "btc-")) >= {"BTC-USDT"}
    assert all("BTC-" in name for name in search(farm.context, binance, "btc-"))
    assert "BTC-USDT" in search(farm.context, binance, "BTC-USTD")
    assert search(farm.context, binance, "") == listed_instruments(farm.context, binance)


def test_a_provider_without_a_list_says_so(farm):
    with pytest.raises(FixRequest, match="gdelt has no list of instruments"):
        search(farm.context, get("gdelt"), "A")


def test_a_pattern_stands_for_what_it_fits_and_a_name_for_itself(farm):
    found = expand(farm.context, get("coinbase"), ["BTC-*", "ETH-USD", "eth-us?"])
    assert set(found) >= {"BTC-USD", "ETH-USD"}
    assert len(set(found)) == len(found)
    assert all(name.startswith(("BTC-", "ETH-")) for name in found)
    with pytest.raises(FixRequest, match=r"no instrument of coinbase fits 'NOTHING-\*'"):
        expand(farm.context, get("coinbase"), ["NOTHING-*"])


def followed(farm, provider, dataset, *names, interval=None):
    with farm.context.sessions.begin() as session:
        follow(session, get(provider), dataset, names, interval=interval, since=None, now=NOW)


def ended(farm, *names, **changes):
    with farm.context.sessions.begin() as session:
        return end_instrument(session, *names, on=DAY, **{"renamed_to": None, **changes})


SERIES = "SELECT instrument, dataset, followed, until, renamed_to, since FROM series ORDER BY instrument, dataset"


def test_a_delisted_name_is_followed_no_longer_and_says_since_when(farm):
    followed(farm, "binance", "quotes", "BTC-USDT", "ETH-USDT")
    assert ended(farm, "binance", "BTC-USDT") == 1
    assert farm.select(SERIES) == [
        ("BTC-USDT", "quotes", False, DAY, None, None),
        ("ETH-USDT", "quotes", True, None, None, None),
    ]
    with farm.context.sessions() as session:
        assert [row.instrument for row in series_status(session, NOW)] == ["ETH-USDT"]


def test_a_name_that_is_followed_anew_has_not_ended(farm):
    followed(farm, "binance", "quotes", "BTC-USDT")
    ended(farm, "binance", "BTC-USDT", renamed_to="ETH-USDT")
    followed(farm, "binance", "quotes", "BTC-USDT")
    assert farm.select(SERIES)[0][2:5] == (True, None, None)


def test_a_renamed_one_goes_on_under_its_new_name_wherever_it_was_followed(farm):
    followed(farm, "yahoo", "quotes", "FB")
    followed(farm, "yahoo", "bars", "FB", interval="1d")
    assert ended(farm, "yahoo", "FB", renamed_to="META") == 2
    assert farm.select(SERIES) == [
        ("FB", "bars", False, DAY, "META", None),
        ("FB", "quotes", False, DAY, "META", None),
        ("META", "bars", True, None, None, DAY),
        ("META", "quotes", True, None, None, DAY),
    ]
    assert ended(farm, "yahoo", "FB", renamed_to="META") == 2  # said again, nothing changes
    assert farm.value("SELECT count(*) FROM series") == 4


def test_a_name_that_nobody_knows_here_is_refused_with_those_that_are_known(farm):
    followed(farm, "binance", "quotes", "BTC-USDT")
    with pytest.raises(UnknownName, match="BTC-USDT"):
        ended(farm, "binance", "ETH-USDT")


def test_a_provider_that_is_disabled_is_asked_nothing_until_it_is_enabled(farm):
    by_hand.hold(farm.context, "binance", None, "disabled", NOW, by=TESTER)
    farm.owe("binance", {"dataset": "quotes", "instruments": ["BTC-USDT"]})
    assert farm.run_once().state == "deferred"
    assert farm.requests("binance") == 0
    by_hand.lift(farm.context, "binance", everything=False, now=datetime.now(UTC), by=TESTER)
    farm.change("UPDATE jobs SET due_at = now()")
    assert farm.run_once().state == "fetched"


def test_what_is_retired_or_costs_money_is_refused_until_one_says_how(settings_of):
    alone = settings_of(tickfarm_sandbox_url=None)
    with pytest.raises(FixRequest, match="iex is retired since 2024-08-31"):
        refuse_unusable(alone, get("iex").facts)
    archive = settings_of(tickfarm_sandbox_url=None, tickfarm_providers={"iex": {"base_url": "https://example.com"}})
    refuse_unusable(archive, get("iex").facts)
    with pytest.raises(FixRequest, match=r"x charges 0\.005 USD"):
        refuse_unusable(alone, get("x").facts)
    daily = settings_of(tickfarm_providers={"x": {"limits": "450/15m, 10000 weight/1d"}})
    with pytest.raises(FixRequest, match="a month"):
        refuse_unusable(daily, get("x").facts)
    refuse_unusable(settings_of(tickfarm_providers={"x": {"limits": "450/15m, 10000 weight/30d"}}), get("x").facts)


@pytest.mark.parametrize("name", providers.names())
def test_every_name_of_a_whole_catalogue_is_spelled_and_read_back_as_itself(farm, name, monkeypatch):
    for variable, value in sandbox_settings().items():
        monkeypatch.setenv(variable, value)
    provider = get(name)
    listed = listed_instruments(farm.context, provider) or [cell.example.instrument for cell in cells_of(name)]
    assert listed
    natives = {one: provider.native_symbol(one) for one in listed}
    read = {one: provider.instrument_of(native) for one, native in natives.items()}
    assert {one: found for one, found in read.items() if found not in (one, None)} == {}
    assert [one for one, found in read.items() if found is None] == []
    assert len(set(natives.values())) == len(listed)


def cells_of(name):
    """Return the cells of the conformance grid that are copied, an instrument once."""
    unique = {cell.example.instrument: cell for cell in cells() if cell.provider == name and cell.case is None}
    return list(unique.values())
