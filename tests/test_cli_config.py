"""`tickfarm config`: what is set and where it comes from, what holds for each provider, a first `.env`.

Deliberately not here: what is refused (test_settings.py). Invariant: no secret is ever printed.
"""

from __future__ import annotations

import json
import stat

import pytest

from ingest import providers
from ingest.settings import CHECKOUT, Settings
from ingest.settings.sources import PROVIDERS
from tests.tickfarm_command import complaint, run

SECRET = "planted-password"
EXAMPLE = (CHECKOUT / ".env.example").read_text()


@pytest.fixture
def shown(tmp_path):
    """Return what shows the settings as JSON, given an environment and lines of a `.env`."""

    def show(*lines, **env):
        file = tmp_path / ".env"
        file.write_text("\n".join(lines))
        done = run("config", "show", "--json", TICKFARM_ENV_FILE=str(file), TICKFARM_HOME=str(tmp_path), **env)
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout
        found = json.loads(done.stdout)
        settings = {row["name"]: (row["value"], row["origin"]) for row in found["settings"]}
        return settings, {row["provider"]: row for row in found["providers"]}

    return show


def test_every_setting_is_shown_once_and_by_default_as_a_default(shown):
    settings, terms = shown()
    keys = {part.env for name in providers.names() if (key := providers.get(name).facts.key) for part in key.parts}
    expected = {name.upper() for name in Settings.model_fields} - {PROVIDERS}
    assert set(settings) == expected | keys | {"TICKFARM_HOME", "TICKFARM_ENV_FILE"}
    defaults = {name for name, (_, origin) in settings.items() if origin == "default"}
    assert defaults == set(settings) - {"TICKFARM_HOME", "TICKFARM_ENV_FILE"}
    assert set(terms) == set(providers.names())
    for name, row in terms.items():
        assert row["base_url"] == providers.get(name).facts.base_url
        assert row["limits"] == row["stated_limits"]
        assert (row["timeout_s"], row["retries"], row["retry_base_s"], row["retry_cap_s"]) == (30, 3, 1, 60)
        assert (row["request_timeout_s"], row["connections"]) == (10, 64)


def test_a_value_is_shown_with_the_place_it_comes_from(shown, tmp_path):
    (tmp_path / "database_url").write_text(f"postgresql://tickfarm:{SECRET}@127.0.0.1/tickfarm")
    servers = {"redis_url": f"redis://:{SECRET}@127.0.0.1:6379/0"}
    (tmp_path / "servers.json").write_text(json.dumps(servers))
    settings, _ = shown(
        "TICKFARM_CONNECTIONS=8",
        "TICKFARM_PRESET=conservative",
        f"DATABASE_URL_FILE={tmp_path / 'database_url'}",
        TICKFARM_PRESET="aggressive",
        TICKFARM_PROVIDERS__KRAKEN__ENABLED="false",
        NASDAQ_DATA_LINK_API_KEY=SECRET,
    )
    assert settings["TICKFARM_CONNECTIONS"] == (8, ".env")
    assert settings["TICKFARM_PRESET"] == ("aggressive", "environment")
    assert settings["DATABASE_URL"] == ("set", f"file {tmp_path / 'database_url'}")
    assert settings["REDIS_URL"] == ("set", "embedded")
    assert settings["TICKFARM_PROVIDERS__KRAKEN__ENABLED"] == (False, "environment")
    assert settings["NASDAQ_DATA_LINK_API_KEY"] == ("set", "environment")
    assert settings["TICKFARM_LOG_FORMAT"] == ("auto", "default")


def test_what_holds_for_a_provider_is_the_preset_and_what_is_set_for_it(shown):
    _, terms = shown(
        "TICKFARM_PRESET=conservative",
        "TICKFARM_PROVIDERS__BINANCE__PRESET=aggressive",
        "TICKFARM_PROVIDERS__BINANCE__RETRIES=1",
        "TICKFARM_PROVIDERS__BINANCE__CONNECTIONS=4",
        "TICKFARM_PROVIDERS__KRAKEN__REQUEST_TIMEOUT_S=20",
        "TICKFARM_PROVIDERS__COINBASE__PACE=0.1",
        "TICKFARM_PROVIDERS__COINBASE__BASE_URL=http://127.0.0.1:9/mirror/",
    )
    binance, coinbase, kraken = (terms[name] for name in ("binance", "coinbase", "kraken"))
    assert (binance["timeout_s"], binance["retries"], binance["retry_cap_s"]) == (15, 1, 30)
    assert binance["limits"] == binance["stated_limits"]
    assert (binance["request_timeout_s"], binance["connections"]) == (5, 4)
    assert (kraken["request_timeout_s"], coinbase["request_timeout_s"]) == (20, 30)
    assert (coinbase["timeout_s"], coinbase["base_url"]) == (60, "http://127.0.0.1:9/mirror")
    assert coinbase["limits"] == ["1 requests per 1 s"]
    assert (kraken["preset"], kraken["limits"]) == ("conservative", ["1 requests per 2 s"])


def test_less_is_allowed_without_a_key_and_that_is_what_is_shown(shown):
    _, without = shown()
    _, keyed = shown(NASDAQ_DATA_LINK_API_KEY=SECRET)
    name = "nasdaq_data_link"
    assert (without[name]["key"], keyed[name]["key"]) == ("not set", "set")
    assert "20 requests per 600 s" in without[name]["limits"]
    assert "20 requests per 600 s" not in keyed[name]["limits"]


def test_the_table_for_people_holds_the_same(tmp_path):
    done = run("config", "show", DATABASE_URL=f"postgresql://me:{SECRET}@127.0.0.1/db", TICKFARM_KEEP_JOBS_DAYS="9")
    assert done.returncode == 0
    assert SECRET not in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["DATABASE_URL", "set", "environment"] in lines
    assert ["TICKFARM_KEEP_JOBS_DAYS", "9", "environment"] in lines
    assert ["REDIS_URL", "not", "set", "default"] in lines
    assert any(line[:1] == ["binance"] and "3," in line for line in lines)


@pytest.mark.parametrize(
    ("transport", "lacks", "line"),
    [
        ("curl", [], "transport: curl, lacks nothing"),
        ("requests", ["HTTP/2", "a DNS cache"], "transport: requests, without HTTP/2 and a DNS cache"),
    ],
)
def test_what_the_transport_lacks_is_said(transport, lacks, line):
    done = run("config", "show", "--json", TICKFARM_TRANSPORT=transport)
    assert json.loads(done.stdout)["transport"] == {"name": transport, "lacks": lacks}
    assert line in run("config", "show", TICKFARM_TRANSPORT=transport).stdout.splitlines()


def test_init_writes_a_private_file_that_changes_nothing_and_says_what_to_edit(tmp_path):
    file = tmp_path / "farm.env"
    done = run("config", "init", TICKFARM_ENV_FILE=str(file))
    assert done.returncode == 0, done.stderr
    assert file.read_text() == EXAMPLE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "DATABASE_URL" in done.stdout
    assert "tickfarm config show" in done.stdout
    assert run("config", "show", TICKFARM_ENV_FILE=str(file)).returncode == 0


def test_init_never_replaces_what_is_there_unless_it_is_told_to(tmp_path):
    file = tmp_path / ".env"
    file.write_text(f"NASDAQ_DATA_LINK_API_KEY={SECRET}\n")
    done = run("config", "init", TICKFARM_ENV_FILE=str(file))
    assert done.returncode == 2
    assert "--force" in complaint(done)
    assert SECRET in file.read_text()
    assert run("config", "init", "--force", TICKFARM_ENV_FILE=str(file)).returncode == 0
    assert file.read_text() == EXAMPLE


def test_init_leaves_what_is_no_plain_file_alone_whatever_it_is_told(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link"):
        done = run("config", "init", "--force", TICKFARM_ENV_FILE=str(tmp_path / name))
        assert done.returncode == 2
        assert "no plain file" in complaint(done)
    assert not (tmp_path / "elsewhere").exists()
