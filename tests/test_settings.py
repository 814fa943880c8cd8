"""Settings that can't be stop the start: of `tickfarm`, of every plain `celery -A tasks ..`, in words, without secrets.

Deliberately not here: what settings make of a provider (tests/pipeline/test_terms.py), `tickfarm config`
(test_cli_config.py). Invariant: each process here gets the environment it is tested with, and no `.env` of anybody.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter

import pytest
from pydantic import ValidationError

from ingest import providers
from ingest.pipeline.credentials import keys_of
from ingest.settings import CHECKOUT, BadSetting, BucketAddress, Settings, provider_endpoint, read_settings
from ingest.settings.sources import OTHER_NAMES
from ingest.wire import Endpoint, Key
from tests import forked
from tests.tickfarm_command import complaint, run

NASDAQ = providers.get("nasdaq_data_link").facts
SECRET = "planted-password"
ADDRESS = f"postgresql://tickfarm:{SECRET}@127.0.0.1:1/tickfarm"
CELERY = {
    "worker": ("worker", "-Q", "live"),
    "beat": ("beat",),
    "flower": ("flower", "--port=0"),
    "call": ("call", "tasks.store"),
    "inspect": ("inspect", "ping"),
}
#: what is set -> what the line says
WRONG = {
    "a value that is none of the accepted": ({"TICKFARM_TRANSPORT": "pigeon"}, ["'auto', 'curl' or 'requests'"]),
    "a number out of range": ({"TICKFARM_CONNECTIONS": "0"}, ["TICKFARM_CONNECTIONS", "greater than or equal to 1"]),
    "no number": ({"TICKFARM_KEEP_JOBS_DAYS": "soon"}, ["TICKFARM_KEEP_JOBS_DAYS", "integer"]),
    "a deadline over the tasks' own": ({"TICKFARM_FETCH_DEADLINE_S": "61"}, ["less than or equal to 60"]),
    "an address of something else": ({"DATABASE_URL": f"mysql://{SECRET}@db"}, ["DATABASE_URL", "postgresql://"]),
    "a simulator that is no address": ({"TICKFARM_SANDBOX_URL": "8700"}, ["TICKFARM_SANDBOX_URL", "https://api."]),
    "a preset": ({"TICKFARM_PRESET": "fast"}, ["TICKFARM_PRESET", "'conservative', 'standard' or 'aggressive'"]),
    "a slip in a name": ({"TICKFARM_CONECTIONS": "4"}, ["TICKFARM_CONECTIONS", "did you mean TICKFARM_CONNECTIONS?"]),
    "a name like nothing": ({"TICKFARM_ZZZZZZZZ": "4"}, ["TICKFARM_ZZZZZZZZ", "accepted", "TICKFARM_CONNECTIONS"]),
    "a pace above the limit": (
        {"TICKFARM_PROVIDERS__BINANCE__PACE": "1.01"},
        ["TICKFARM_PROVIDERS__BINANCE__PACE", "can be lowered and never raised"],
    ),
    "a pace of nothing": ({"TICKFARM_PROVIDERS__BINANCE__PACE": "0"}, ["over 0"]),
    "a pace that is none": ({"TICKFARM_PROVIDERS__BINANCE__PACE": "nan"}, ["over 0 and up to 1"]),
    "an unknown provider": (
        {"TICKFARM_PROVIDERS__BINANSE__PACE": "0.5"},
        ["TICKFARM_PROVIDERS__BINANSE__", "did you mean binance?", "nasdaq_data_link"],
    ),
    "an unknown field": (
        {"TICKFARM_PROVIDERS__BINANCE__PAICE": "0.5"},
        ["did you mean TICKFARM_PROVIDERS__BINANCE__PACE?", "RETRY_BASE_S"],
    ),
    "a provider without a field": ({"TICKFARM_PROVIDERS__BINANCE": "{}"}, ["TICKFARM_PROVIDERS__<NAME>__<FIELD>"]),
    "a request's timeout over 30 s": (
        {"TICKFARM_PROVIDERS__BINANCE__REQUEST_TIMEOUT_S": "31"},
        ["TICKFARM_PROVIDERS__BINANCE__REQUEST_TIMEOUT_S", "less than or equal to 30"],
    ),
    "more connections than a host gets": (
        {"TICKFARM_PROVIDERS__BINANCE__CONNECTIONS": "101"},
        ["TICKFARM_PROVIDERS__BINANCE__CONNECTIONS", "less than or equal to 100"],
    ),
    "a farm without connections": ({"TICKFARM_MOST_CONNECTIONS": "0"}, ["TICKFARM_MOST_CONNECTIONS", "equal to 1"]),
    "an address with a password": (
        {"TICKFARM_PROVIDERS__BINANCE__BASE_URL": f"https://me:{SECRET}@api.binance.us"},
        ["TICKFARM_PROVIDERS__BINANCE__BASE_URL", "without user, password"],
    ),
    "an address of another kind": ({"TICKFARM_PROVIDERS__BINANCE__BASE_URL": "ftp://x"}, ["https://api."]),
    "a first wait over the longest": (
        {"TICKFARM_PROVIDERS__BINANCE__RETRY_BASE_S": "90"},
        ["TICKFARM_PROVIDERS__BINANCE__RETRY_BASE_S", "90 s", "RETRY_CAP_S", "60 s"],
    ),
    "a secret twice": (
        {"DATABASE_URL": ADDRESS, "DATABASE_URL_FILE": "/run/secrets/x"},
        ["DATABASE_URL and DATABASE_URL_FILE are both set"],
    ),
    "a key twice": (
        {"NASDAQ_DATA_LINK_API_KEY": SECRET, "NASDAQ_DATA_LINK_API_KEY_FILE": "/run/secrets/x"},
        ["NASDAQ_DATA_LINK_API_KEY and NASDAQ_DATA_LINK_API_KEY_FILE are both set"],
    ),
    "a secret's file that is not there": (
        {"DATABASE_URL_FILE": "/run/secrets/none-of-ours"},
        ["DATABASE_URL_FILE", "No such file"],
    ),
    "the secret where its file belongs": ({"DATABASE_URL_FILE": ADDRESS}, ["DATABASE_URL_FILE", "path of a file"]),
    "one key and several": (
        {"NASDAQ_DATA_LINK_API_KEY": SECRET, "NASDAQ_DATA_LINK_API_KEYS": "a,b"},
        ["NASDAQ_DATA_LINK_API_KEY and NASDAQ_DATA_LINK_API_KEYS are both set"],
    ),
    "several keys that nobody allowed": (
        {"NASDAQ_DATA_LINK_API_KEYS": f"{SECRET},another"},
        ["2 keys", "terms forbid", "TICKFARM_PROVIDERS__NASDAQ_DATA_LINK__SEVERAL_KEYS=true"],
    ),
    "a key's file that is not there": ({"NASDAQ_DATA_LINK_API_KEY_FILE": SECRET}, ["NASDAQ_DATA_LINK_API_KEY_FILE"]),
    "a .env that is not there": ({"TICKFARM_ENV_FILE": "/run/none-of-ours.env"}, ["TICKFARM_ENV_FILE"]),
}


def celery(*arguments, **env):
    return forked.run(arguments, {**os.environ, **env}, within_s=60, celery=["-A", "tasks", *arguments])


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("rediss://h:6379/0", "rediss://h:6379/0?ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_ca_certs=/ca.pem", "rediss://h/0?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required"),
        ("rediss://h/0?ssl_cert_reqs=none", "rediss://h/0?ssl_cert_reqs=none"),
        ("redis://h:6379/0", "redis://h:6379/0"),
    ],
)
def test_an_encrypted_redis_is_checked_unless_it_is_said_that_it_is_not(given, used):
    assert Settings(redis_url=given).redis_url.get_secret_value() == used


@pytest.fixture
def env_file(tmp_path, monkeypatch):
    """Return a `.env` that this process reads, and those it starts."""
    file = tmp_path / ".env"
    file.write_text("")
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    monkeypatch.setenv("TICKFARM_ENV_FILE", str(file))
    return file


@pytest.mark.parametrize(("env", "said"), WRONG.values(), ids=WRONG)
def test_what_can_not_be_is_one_line_that_names_it_and_what_is_accepted(env, said):
    done = run("config", "show", **env)
    assert done.returncode == 2
    line = complaint(done)
    assert [part for part in said if part not in line] == [], line
    assert SECRET not in line


@pytest.mark.parametrize("command", CELERY.values(), ids=CELERY)
def test_plain_celery_refuses_it_in_one_line_too(command):
    env = {"TICKFARM_TRANSPORT": "pigeon", "TICKFARM_CONECTIONS": "4", "DATABASE_URL": ADDRESS}
    done = celery(*command, **env)
    assert done.returncode == 2
    assert complaint(done).startswith("Error: TICKFARM_CONECTIONS is no setting (did you mean TICKFARM_CONNECTIONS?)")
    del env["TICKFARM_CONECTIONS"]
    done = celery(*command, **env)
    assert done.returncode == 2
    assert "TICKFARM_TRANSPORT is not valid: expected 'auto', 'curl' or 'requests'" in complaint(done)
    assert SECRET not in done.stderr


def test_plain_celery_refuses_a_provider_that_nobody_knows():
    """In an interpreter of its own, as a person starts it."""
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-Q", "live"]
    env = {**os.environ, "TICKFARM_PROVIDERS__KRAKE__ENABLED": "false"}
    done = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "did you mean kraken?" in complaint(done)


def test_a_program_that_imports_the_application_gets_an_error_and_no_exit():
    code = (
        "from tasks import app; from ingest.settings import BadSetting, settings\n"
        "try: settings()\n"
        "except BadSetting as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={**os.environ, "TICKFARM_TRANSPORT": "pigeon"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("TICKFARM_TRANSPORT is not valid")


def test_a_slip_in_the_env_file_is_refused_and_said_to_stand_there(env_file):
    env_file.write_text("tickfarm_transprt=curl\nSOMEBODY_ELSES=1\n")
    done = run("config", "show")
    assert done.returncode == 2
    assert "TICKFARM_TRANSPRT is no setting (did you mean TICKFARM_TRANSPORT?)" in complaint(done)
    assert "(.env)" in done.stderr


def test_names_that_are_read_elsewhere_are_known_and_each_of_them_is(monkeypatch, tmp_path):
    monkeypatch.setenv("TICKFARM_NO_UV", "1")
    monkeypatch.setenv("TICKFARM_HOME", str(tmp_path))
    read_settings()
    texts = [*CHECKOUT.glob("ingest/settings/*.py"), CHECKOUT / ".ci" / "setup"]
    read = {name for file in texts for name in re.findall(r"TICKFARM_[A-Z_]+", file.read_text())}
    assert set(OTHER_NAMES) <= read


def test_every_name_with_our_prefix_that_the_code_reads_is_known():
    reads = re.compile(r"(?:environ(?:\.get\(|\[)|\$\{)[\"']?(TICKFARM_[A-Z_]+)")
    files = [
        file
        for folder in ("commands", "ingest", "local", "models", "sandbox", "tasks", ".ci")
        for file in (CHECKOUT / folder).rglob("*")
        if file.is_file() and file.suffix in {".py", ""}
    ]
    found = {name for file in [*files, CHECKOUT / "docker-compose.yml"] for name in reads.findall(file.read_text())}
    assert {"TICKFARM_HOME", "TICKFARM_NO_UV"} <= found
    assert found <= {*OTHER_NAMES, *(name.upper() for name in Settings.model_fields)}


def test_a_secret_is_read_from_the_file_that_its_variable_names(tmp_path, monkeypatch, env_file):
    secret = tmp_path / "database_url"
    secret.write_text(f"{ADDRESS}\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(secret))
    expected = ADDRESS.replace("postgresql", "postgresql+psycopg2")
    assert read_settings().database_url.get_secret_value() == expected
    monkeypatch.delenv("DATABASE_URL_FILE")
    env_file.write_text(f"DATABASE_URL_FILE={secret}\n")
    assert read_settings().database_url.get_secret_value() == expected
    monkeypatch.setenv("DATABASE_URL", ADDRESS)
    with pytest.raises(BadSetting, match="DATABASE_URL and DATABASE_URL_FILE are both set"):
        read_settings()


def keys(config):
    return [key.value for key in keys_of(config, NASDAQ)]


def endpoint(config, turn=""):
    """Return where a job's batch would be sent now."""
    spec = NASDAQ.key
    return provider_endpoint(
        config,
        name=NASDAQ.name,
        base_url=NASDAQ.base_url,
        spec=spec,
        turn=turn,
    )


def test_a_key_is_read_anew_at_each_use_from_wherever_it_stands(tmp_path, monkeypatch, env_file):
    secret = tmp_path / "key"
    secret.write_text("first\n")
    env_file.write_text(f"NASDAQ_DATA_LINK_API_KEY_FILE={secret}\n")
    config = read_settings()
    assert keys(config) == ["first"]
    secret.write_text("second")
    assert keys(config) == ["second"]
    env_file.write_text("NASDAQ_DATA_LINK_API_KEY=third-and-longer\n")
    assert keys(config) == ["third-and-longer"]
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", "")
    assert keys(config) == ["third-and-longer"]
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", "fourth")
    assert keys(config) == ["fourth"]
    monkeypatch.delenv("NASDAQ_DATA_LINK_API_KEY")
    env_file.write_text("")
    assert keys(config) == []
    assert endpoint(config).pool == ""


def test_several_keys_that_are_allowed_share_the_jobs_and_each_is_a_pool(tmp_path, monkeypatch, env_file):
    monkeypatch.setenv("TICKFARM_PROVIDERS__NASDAQ_DATA_LINK__SEVERAL_KEYS", "true")
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEYS", "first-key, second-key,,third-key,first-key")
    config = read_settings()
    assert keys(config) == ["first-key", "second-key", "third-key"]
    used = [endpoint(config, f"{job}:1") for job in range(300)]
    by_key = Counter(one.key.value for one in used)
    assert set(by_key) == set(keys(config))
    assert min(by_key.values()) > 50, "each takes about a third"
    assert [endpoint(config, f"{job}:1") for job in range(300)] == used, "a batch keeps to its key"
    assert [one.pool for one in used] == [one.key.pool for one in used]
    assert len({one.pool for one in used}) == 3
    secret = tmp_path / "keys"
    secret.write_text("fourth-key\nfifth-key\n")
    monkeypatch.delenv("NASDAQ_DATA_LINK_API_KEYS")
    env_file.write_text(f"NASDAQ_DATA_LINK_API_KEYS_FILE={secret}\n")
    assert keys(config) == ["fourth-key", "fifth-key"]


def test_a_key_of_two_parts_is_one_key_or_none_and_a_part_alone_is_refused(monkeypatch, env_file):
    facts = providers.get("yahoo").facts
    assert keys_of(read_settings(), facts) == ()
    monkeypatch.setenv("YAHOO_COOKIE", "first-cookie")
    with pytest.raises(BadSetting, match="YAHOO_COOKIE and YAHOO_CRUMB belong together: set one of each, or neither"):
        keys_of(read_settings(), facts)
    pools = set()
    for crumb in ("first-crumb", "other-crumb"):
        monkeypatch.setenv("YAHOO_CRUMB", crumb)
        [key] = keys_of(read_settings(), facts)
        assert [(part.name, part.value) for part in key.parts] == [("cookie", "first-cookie"), ("crumb", crumb)]
        assert crumb not in repr(key)
        pools.add(key.pool)
    assert len(pools) == 2, "a new crumb is a new key, which no refusal of the old one holds"
    monkeypatch.setenv("YAHOO_CRUMBS", "one,two")
    monkeypatch.delenv("YAHOO_CRUMB")
    with pytest.raises(BadSetting, match="set one of each"):
        keys_of(read_settings(), facts)


def test_a_list_of_one_key_needs_nobodys_leave(monkeypatch, env_file):
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEYS", "only,")
    assert keys(read_settings()) == ["only"]


def test_a_pools_name_is_the_same_in_every_process_and_holds_nothing_of_the_key():
    key = Key("header", "x-api-token", SECRET)
    code = f"from ingest.wire import Key; print(Key('query', 'k', {SECRET!r}).pool)"
    other = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert key.pool == other.stdout.strip()
    assert re.fullmatch("[0-9a-f]{8}", key.pool)
    assert key.pool != Key("header", "x-api-token", f"{SECRET}.").pool
    assert SECRET not in repr(key)
    assert SECRET not in repr(Endpoint("https://api.example.com", key))


def test_a_key_beside_a_sandbox_is_the_environments_whatever_else_is_set(monkeypatch, env_file):
    env_file.write_text("NASDAQ_DATA_LINK_API_KEYS=real-1,real-2\n")
    monkeypatch.setenv("TICKFARM_SANDBOX_URL", "http://127.0.0.1:8700")
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", "sandbox-key")
    assert keys(read_settings()) == ["sandbox-key"]


def test_the_environment_wins_over_the_env_file_field_by_field(monkeypatch, env_file):
    env_file.write_text("TICKFARM_PROVIDERS__BINANCE__PACE=0.5\nTICKFARM_PROVIDERS__BINANCE__RETRIES=1\n")
    monkeypatch.setenv("TICKFARM_PROVIDERS__BINANCE__PACE", "0.25")
    own = read_settings().of_provider("binance")
    assert (own.pace, own.retries) == (0.25, 1)


def test_an_env_file_that_can_not_be_read_is_refused_in_words(env_file):
    env_file.write_bytes(b"DATABASE_URL=\xff\xfe\n")
    with pytest.raises(BadSetting, match="is not UTF-8"):
        read_settings()


def test_no_secret_shows_in_a_repr(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", ADDRESS)
    assert SECRET not in repr(read_settings())


@pytest.mark.parametrize(
    "value",
    [
        "https://bucket/prefix",
        "s3://",
        "s3://Bucket",
        "s3://key:secret@bucket/prefix",
        "s3://bucket/prefix?endpoint=https://key:secret@s3.example.com",
        "s3://bucket/prefix?endpoint=s3.example.com",
        "s3://bucket/prefix?secret=1",
        "s3://bucket/prefix#part",
    ],
)
def test_an_archive_s_address_that_can_not_be_or_that_holds_a_password_is_refused(value):
    with pytest.raises(ValidationError, match="expected an address like s3://") as refused:
        Settings(tickfarm_archive_url=value)
    assert "secret" not in str(refused.value).replace("without a key", "")


def test_an_archive_is_a_folder_or_a_bucket_and_never_both(tmp_path):
    url = "s3://farm/a/b/?endpoint=http://127.0.0.1:9000&region=eu-west-1"
    assert Settings(tickfarm_archive_url=url).archive_bucket == BucketAddress(
        "farm", "a/b", "http://127.0.0.1:9000", "eu-west-1"
    )
    assert Settings(tickfarm_archive_url="s3://farm").archive_bucket == BucketAddress("farm")
    assert Settings().archive_bucket is None
    with pytest.raises(ValidationError, match="TICKFARM_ARCHIVE_DIR"):
        Settings(tickfarm_archive_dir=tmp_path, tickfarm_archive_url="s3://farm")


def test_payloads_in_flight_stay_below_500_mb_with_room_for_what_was_leased_before_the_bound_was_met():
    bound = Settings.model_fields["tickfarm_max_inflight_bytes"].default
    assert bound + bound / 2 < 500_000_000
