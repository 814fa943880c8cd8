"""Yahoo's cookie and crumb in a fetch: quotes go out with both, charts with neither, and a refusal holds quotes alone.

Deliberately not here: how they are read and sent (tests/test_settings.py, tests/transport/test_client_keys.py).
"""

from __future__ import annotations

import pytest

from tests.pipeline.farm import LATER

QUOTES = {"dataset": "quotes", "instruments": ["AAPL", "EUR-USD"]}
BARS = {
    "dataset": "bars",
    "instruments": ["IBM"],
    "interval": "1d",
    "start": "2007-02-20T00:00:00Z",
    "end": "2007-03-20T00:00:00Z",
}


@pytest.fixture
def given(monkeypatch):
    """Return what sets both parts."""

    def set_(cookie, crumb):
        monkeypatch.setenv("YAHOO_COOKIE", cookie)
        monkeypatch.setenv("YAHOO_CRUMB", crumb)

    return set_


def asked(farm):
    log = farm.sandbox.control("GET", "requests?log=1")[1]["log"]
    return [(one["path"], "crumb=" in one["query"]) for one in log if one["provider"] == "yahoo"]


def test_quotes_have_bid_and_ask_with_a_cookie_and_its_crumb_and_the_last_price_without(farm, given):
    farm.owe("yahoo", QUOTES)
    farm.run(within=LATER)
    assert farm.select("SELECT DISTINCT bid IS NULL, ask IS NULL, last IS NULL FROM quotes") == [(True, True, False)]
    given("sandbox-key", "sandbox-key")
    farm.change("DELETE FROM quotes")
    farm.owe("yahoo", QUOTES)
    farm.run(within=LATER)
    assert farm.value("SELECT count(*) FROM quotes WHERE bid < last AND last < ask") == 2
    assert set(farm.states()) == {"done"}


def test_a_chart_goes_out_without_them_and_a_refused_pair_holds_quotes_alone(farm, given):
    given("an-old-cookie", "sandbox-key")
    farm.owe("yahoo", QUOTES)
    assert farm.run_once().state == "dead"
    [(pool, kind, reason)] = farm.select("SELECT pool, kind, reason FROM provider_holds")
    assert (len(pool), kind) == (8, "entitlement")
    assert "the cookie and the crumb were refused" in reason
    farm.owe("yahoo", BARS)
    assert farm.run_once().state == "fetched", "charts need no key, so they wait for none"
    assert asked(farm) == [("/v7/finance/quote", True), ("/v8/finance/chart/IBM", False)]
    kept = " ".join(
        str(row)
        for table in ("jobs", "fetch_log", "provider_holds")
        for row in farm.select(f"SELECT t::text FROM {table} t")
    )
    assert "an-old-cookie" not in kept
