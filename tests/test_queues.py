"""Celery's side of the wiring: queues, routes, and settings that Celery really reads.

Deliberately not here: who consumes each queue (test_compose.py, for containers and the local processes). Invariant:
Celery and kombu swallow misspelt settings and options, so every name is held against theirs.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
from celery.app.defaults import NAMESPACES, flatten
from kombu.transport.redis import Channel

import celeryconfig
from ingest import providers
from ingest.settings import CHECKOUT
from tasks import app

SOURCE = (CHECKOUT / "celeryconfig.py").read_text()
LINES = SOURCE.splitlines()
QUEUES = {queue.name for queue in celeryconfig.task_queues}
ASSIGNMENTS = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.Assign | ast.AnnAssign)]


def names_of(node):
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets]


SETTINGS = {name: node for node in ASSIGNMENTS for name in names_of(node) if not name.startswith("_")}


@pytest.fixture(scope="module", autouse=True)
def _registered():
    app.loader.import_default_modules()


def our_tasks():
    """Return our tasks: Celery has built-in ones, and pytest-celery shares its own with every application."""
    return {name: task for name, task in app.tasks.items() if not name.startswith(("celery.", "pytest_celery."))}


def test_every_lane_has_a_queue_for_loading_and_there_is_no_other():
    assert {queue for lane in celeryconfig.LANES for queue in (lane, f"{lane}.load")} == QUEUES
    assert celeryconfig.task_default_queue in QUEUES
    assert celeryconfig.task_create_missing_queues is False


def test_every_task_that_is_registered_goes_to_a_queue_that_exists():
    wanted = {f"tasks.fetch.{name}" for name in (*providers.names(), *providers.aliases())} | {
        "tasks.normalize",
        "tasks.store",
        "tasks.retention",
        "tasks.gaps",
        "tasks.scrub",
        "tasks.health",
    }
    assert our_tasks().keys() == wanted
    for name in app.tasks:  # Celery's own too
        assert app.amqp.router.route({}, name)["queue"].name in QUEUES, name


def test_every_task_has_a_route_of_its_own_and_every_route_a_task():
    for pattern, route in celeryconfig.task_routes.items():
        assert set(route) == {"queue"}
        assert [name for name in our_tasks() if re.fullmatch(pattern.replace("*", ".+"), name)], pattern
    routed = {name for name in our_tasks() if app.amqp.router.lookup_route(name) is not None}
    assert routed == our_tasks().keys()


def test_a_queue_named_by_the_leader_goes_before_the_route():
    for name in our_tasks():
        assert app.amqp.router.route({"queue": "live"}, name)["queue"].name == "live"


def test_every_task_is_declared_through_the_one_decorator():
    files = [file for file in (CHECKOUT / "tasks").glob("*.py") if file.name not in {"farm_task.py", "app.py"}]
    declared_otherwise = [
        f"{file.name}: {node.id if isinstance(node, ast.Name) else node.attr}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.Name) and node.id == "shared_task")
        or (isinstance(node, ast.Attribute) and node.attr in {"task", "shared_task"} and _is_app(node.value))
    ]
    assert declared_otherwise == []
    for name, task in our_tasks().items():
        assert 0 < task.soft_time_limit < task.time_limit <= celeryconfig.task_time_limit, name
        assert task.max_retries == 60, name


def _is_app(node):
    return isinstance(node, ast.Name) and node.id in {"app", "celery"}


def test_an_argument_that_no_task_has_is_refused_before_it_is_sent():
    for name, task in our_tasks().items():
        with pytest.raises(TypeError):
            task.apply_async(kwargs={"dataset": "bars", "job_id": 1, "attempt": 1, "no_such_argument": 1})
        assert task.typing, name


def test_every_setting_is_one_that_celery_reads():
    known = {name for name, _ in flatten(NAMESPACES)}
    ours = {name for name in SETTINGS if name.islower()}
    assert ours
    assert ours <= known, "Celery swallows names it does not know"
    assert {name for name in SETTINGS if not name.islower()} == {"LANES", "LOAD_SUFFIX", "VISIBILITY_TIMEOUT_S"}


def test_every_broker_option_is_one_that_kombu_reads():
    assert set(celeryconfig.broker_transport_options) <= set(Channel.from_transport_options)
    assert set(celeryconfig.result_backend_transport_options) <= {"global_keyprefix"}
    policy = {"max_retries", "interval_start", "interval_step", "interval_max", "retry_errors"}
    assert set(celeryconfig.task_publish_retry_policy) <= policy


def test_the_application_uses_these_settings():
    for name in SETTINGS:
        if name.islower():
            assert app.conf[name] == getattr(celeryconfig, name), name


def test_a_message_is_delivered_again_only_after_the_longest_task_could_have_ended():
    assert 3 * celeryconfig.task_time_limit < celeryconfig.VISIBILITY_TIMEOUT_S
    assert celeryconfig.task_soft_time_limit < celeryconfig.task_time_limit


@pytest.mark.parametrize("name", [name for name in SETTINGS if name.islower()])
def test_every_setting_has_its_reason(name):
    """On its own line, or in a `#:` line directly above it or above the settings it stands together with."""
    node = SETTINGS[name]
    if any("#" in line for line in LINES[node.lineno - 1 : node.end_lineno]):
        return
    above = node.lineno - 2
    while above >= 0 and re.match(r"[a-z_]+ = |    |\}|\)", LINES[above]) and "#" not in LINES[above]:
        above -= 1
    assert LINES[above].startswith("#:"), f"celeryconfig.py:{node.lineno}: say why {name} is what it is"


def test_the_configuration_can_be_read_before_any_server_is_known():
    code = "import celeryconfig; raise SystemExit(celeryconfig.broker_url is not None)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=CHECKOUT, check=False)
    assert done.returncode == 0
