"""`tickfarm doctor` and `migrate` as a script runs them: exit codes, JSON, and never a traceback.

Deliberately not here: what is a failure (tests/pipeline/test_doctor.py).
"""

from __future__ import annotations

import json

from models.migrate import head
from tests.conftest import statement
from tests.tickfarm_command import NO_POSTGRESQL, NO_REDIS, each_with


def test_with_nothing_set_it_says_what_to_do_and_ends_with_1(home):
    shown, table = each_with(TICKFARM_HOME=str(home))("doctor --json", "doctor")
    assert (shown.returncode, table.returncode) == (1, 1)
    assert shown.stderr == table.stderr == ""
    found = json.loads(shown.stdout)
    assert found["verdict"] == "fail"
    assert [set(check) for check in found["checks"]] == [{"name", "state", "seen", "mend"}] * len(found["checks"])
    first, mend = table.stdout.splitlines()[:2]
    assert first.startswith("fail  PostgreSQL")
    assert "-> tickfarm up, which brings servers along" in mend
    assert not home.exists(), "it changes nothing"


def test_with_dead_servers_and_with_settings_that_can_not_be_it_ends_with_1_and_no_traceback(home):
    dead = each_with(TICKFARM_HOME=str(home), DATABASE_URL=NO_POSTGRESQL, REDIS_URL=NO_REDIS)
    [shown] = dead("doctor")
    assert shown.returncode == 1
    assert "Traceback" not in shown.stdout + shown.stderr
    assert "planted-password" not in shown.stdout
    [refused] = dead("doctor --json", TICKFARM_PRESET="reckless")
    assert refused.returncode == 1
    [check] = json.loads(refused.stdout)["checks"]
    assert (check["name"], check["state"]) == ("settings", "fail")
    assert "TICKFARM_PRESET" in check["seen"]


def test_migrate_brings_an_empty_database_to_the_newest_tables_and_the_doctor_sees_it(database_url, redis_url, home):
    tickfarm = each_with(DATABASE_URL=database_url, REDIS_URL=redis_url, TICKFARM_HOME=str(home))
    statement(database_url, "DROP SCHEMA md, public CASCADE; CREATE SCHEMA public")
    before, migrated, again, after = tickfarm("doctor --json", "migrate", "migrate", "doctor --json")
    assert migrated.stdout == again.stdout == f"the database is at migration {head()}\n"
    schema = [
        next(check["state"] for check in json.loads(done.stdout)["checks"] if check["name"] == "schema")
        for done in (before, after)
    ]
    assert schema == ["fail", "pass"]
