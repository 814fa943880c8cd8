"""`tickfarm keys`: which credentials there are, which are missing, which a provider refuses; never a value."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import sessionmaker

from ingest import providers
from ingest.pipeline.credentials import Evidence, credential_list, evidence
from ingest.settings import Settings, read_settings
from ingest.wire import Key
from local.shown import console as console_of
from local.shown_keys import key_row, keys_table
from models import ProviderHold, Series, open_engine
from tests.tickfarm_command import run, run_each

NAME, VARIABLE = "nasdaq_data_link", "NASDAQ_DATA_LINK_API_KEY"
NASDAQ = providers.get(NAME).facts
SECRET, OTHER = "planted-key-0c5e", "planted-key-77aa"
NOW = datetime.now(UTC)
REFUSED = "error QEAx01: the API key was refused"


@pytest.fixture
def sessions(database_url):
    engine = open_engine(database_url, application_name="test keys")
    yield sessionmaker(engine)
    engine.dispose()


@pytest.fixture
def keys(sessions, monkeypatch):
    """Return what lists the keys with this environment: the rows, and the table for people."""

    def show(**env):
        with monkeypatch.context() as here, sessions() as session:
            for name, value in env.items():
                here.setenv(name, value)
            found = credential_list(read_settings(), [NASDAQ], evidence(session))
        console = console_of()
        with console.capture() as table:
            console.print(keys_table(found), soft_wrap=True)
        rows = [key_row(one) for one in found]
        assert SECRET not in f"{found}{rows}{table.get()}"
        assert OTHER not in f"{found}{rows}{table.get()}"
        return rows, table.get()

    return show


def pool_of(value):
    return Key("header", "x-api-token", value).pool


def hold(sessions, value, *, kind="entitlement", until=None):
    with sessions.begin() as session:
        session.add(ProviderHold(provider=NAME, pool=pool_of(value), kind=kind, until=until, reason=REFUSED))


def follow(sessions):
    with sessions.begin() as session:
        session.add(Series(provider=NAME, dataset="bars", instrument="AAPL", interval="1d", followed=True))


def test_a_key_that_is_not_set_is_missing_with_where_to_get_one_and_an_optional_one_is_no_failure(keys, sessions):
    follow(sessions)
    [row], table = keys()
    assert (row["provider"], row["variable"], row["state"], row["required"]) == (NAME, VARIABLE, "missing", False)
    assert (row["origin"], row["pool"], row["needed"]) == (None, "", False)
    assert f"get one at {NASDAQ.key.where_to_get}" in table
    assert "missing (optional)" in table


def test_a_key_that_is_set_is_present_with_the_place_it_was_found_in(keys, tmp_path, monkeypatch):
    [row], table = keys(**{VARIABLE: SECRET})
    assert (row["state"], row["origin"], row["pool"]) == ("present", "environment", pool_of(SECRET))
    assert "get one at" not in table
    (tmp_path / "key").write_text(SECRET)
    [row], _ = keys(**{f"{VARIABLE}_FILE": str(tmp_path / "key")})
    assert (row["state"], row["origin"]) == ("present", f"file {tmp_path / 'key'}")
    (tmp_path / ".env").write_text(f"{VARIABLE}={SECRET}\n")
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
    [row], _ = keys()
    assert (row["state"], row["origin"]) == ("present", ".env")


def test_a_key_the_provider_refuses_is_refused_until_it_is_replaced_or_the_hold_ends(keys, sessions):
    hold(sessions, SECRET)
    hold(sessions, OTHER, until=NOW - timedelta(minutes=1))
    [row], table = keys(**{VARIABLE: SECRET})
    assert (row["state"], row["reason"], row["needed"]) == ("refused", REFUSED, False)
    assert f"{REFUSED}; get one at" in table
    follow(sessions)
    assert keys(**{VARIABLE: SECRET})[0][0]["needed"]
    assert keys(**{VARIABLE: OTHER})[0][0]["state"] == "present", "its hold is over"
    off = {"TICKFARM_PROVIDERS__NASDAQ_DATA_LINK__ENABLED": "false"}
    assert not keys(**{VARIABLE: SECRET} | off)[0][0]["needed"]


def test_the_command_ends_with_4_where_a_followed_series_wants_a_key_that_is_refused(sessions, database_url, tmp_path):
    hold(sessions, SECRET)
    follow(sessions)
    env = {"DATABASE_URL": database_url, "TICKFARM_HOME": str(tmp_path), VARIABLE: SECRET}
    as_json, table = run_each([["keys", "--json"], ["keys"]], **env)
    assert (as_json.returncode, table.returncode) == (4, 4)
    [row] = [one for one in json.loads(as_json.stdout) if one["provider"] == NAME]
    assert (row["state"], row["origin"], row["reason"]) == ("refused", "environment", REFUSED)
    assert VARIABLE in table.stdout
    for done in (as_json, table):
        assert done.stderr == ""
        assert SECRET not in done.stdout


def test_a_wait_is_no_refusal(keys, sessions):
    follow(sessions)
    hold(sessions, SECRET, kind="throttled", until=NOW + timedelta(hours=1))
    [row], _ = keys(**{VARIABLE: SECRET})
    assert (row["state"], row["needed"]) == ("present", False)


def test_of_several_keys_the_refused_one_is_told_from_the_others(keys, sessions):
    hold(sessions, OTHER)
    follow(sessions)
    env = {f"{VARIABLE}S": f"{SECRET},{OTHER}", "TICKFARM_PROVIDERS__NASDAQ_DATA_LINK__SEVERAL_KEYS": "true"}
    rows, _ = keys(**env)
    assert {row["pool"]: row["state"] for row in rows} == {pool_of(SECRET): "present", pool_of(OTHER): "refused"}
    assert {row["variable"] for row in rows} == {f"{VARIABLE}S"}


def test_both_parts_of_a_key_are_listed_each_with_where_to_get_it(sessions, monkeypatch):
    yahoo = providers.get("yahoo").facts
    missing = credential_list(read_settings(), [yahoo], Evidence())
    assert [(one.variable, one.state) for one in missing] == [("YAHOO_COOKIE", "missing"), ("YAHOO_CRUMB", "missing")]
    assert len({one.where_to_get for one in missing}) == 2
    monkeypatch.setenv("YAHOO_COOKIE", SECRET)
    monkeypatch.setenv("YAHOO_CRUMB", OTHER)
    with sessions() as session:
        found = credential_list(read_settings(), [yahoo], evidence(session))
    assert [(one.variable, one.state) for one in found] == [("YAHOO_COOKIE", "present"), ("YAHOO_CRUMB", "present")]
    assert len({one.pool for one in found}) == 1
    assert SECRET not in f"{found}"
    assert OTHER not in f"{found}"


@pytest.mark.parametrize(("followed", "needed"), [({NAME}, True), ({"binance"}, False)])
def test_a_required_key_is_needed_where_a_series_of_its_provider_is_followed(followed, needed):
    facts = replace(NASDAQ, key=replace(NASDAQ.key, required=True))
    [row] = credential_list(Settings(), [facts, providers.get("binance").facts], Evidence(frozenset(followed)))
    assert (row.state, row.required, row.needed) == ("missing", True, needed)


@pytest.mark.parametrize("url", [None, "postgresql://tickfarm@127.0.0.1:1/none"])
def test_without_a_database_the_keys_are_listed_and_it_is_said_that_refusals_are_not_known(tmp_path, url):
    env = {VARIABLE: SECRET, "TICKFARM_HOME": str(tmp_path)} | ({} if url is None else {"DATABASE_URL": url})
    done = run("keys", "--json", **env)
    assert done.returncode == 0
    assert [row["state"] for row in json.loads(done.stdout) if row["provider"] == NAME] == ["present"]
    assert "which keys are refused is not known" in done.stderr
    assert SECRET not in done.stdout + done.stderr
