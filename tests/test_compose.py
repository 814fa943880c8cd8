"""Every queue has a consumer, wherever the farm runs: containers and the local process list against celeryconfig.

Deliberately not here: booting the containers (no Docker engine where this was written).
"""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

import celeryconfig
from ingest.settings import CHECKOUT
from local.farm_processes import farm_processes
from local.state import make_home

COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
QUEUES = {queue.name for queue in celeryconfig.task_queues}
FARM = {name: service for name, service in SERVICES.items() if service.get("image") == "tickfarm:latest"}


def queues_of(commands):
    """Return the lists after -Q, one per worker."""
    return [command[command.index("-Q") + 1].split(",") for command in commands if "-Q" in command]


@pytest.fixture
def local_commands(home):
    processes = farm_processes(make_home(home), celeryconfig.LANES, flower_port=5555, sandbox_port=8700)
    return {process.name: list(process.argv) for process in processes}


def after_celery(argv):
    return [part.replace("0.0.0.0", "127.0.0.1") for part in argv[argv.index("-A") :]]  # noqa: S104


def test_every_queue_has_exactly_one_lane_of_consumers_in_compose_and_none_is_unknown():
    consumed = [queue for queues in queues_of(service["command"] for service in FARM.values()) for queue in queues]
    assert sorted(consumed) == sorted(QUEUES)


def test_every_queue_has_exactly_one_lane_of_consumers_on_one_machine_and_none_is_unknown(local_commands):
    consumed = [queue for queues in queues_of(local_commands.values()) for queue in queues]
    assert sorted(consumed) == sorted(QUEUES)


def test_a_lane_stores_before_it_fetches_more(local_commands):
    for queues in queues_of([*local_commands.values(), *(service["command"] for service in FARM.values())]):
        lane = queues[1]
        assert queues == [f"{lane}.load", lane]
    assert celeryconfig.broker_transport_options["queue_order_strategy"] == "priority"


def test_containers_and_local_processes_run_the_same_commands(local_commands):
    celery = {name: after_celery(argv) for name, argv in local_commands.items() if "-A" in argv}
    in_containers = {
        name: after_celery(service["command"]) for name, service in FARM.items() if "-A" in service["command"]
    }
    assert in_containers == celery


def test_the_images_own_command_is_one_of_them_in_exec_form():
    (command,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert yaml.safe_load(command) == SERVICES["worker-standard"]["command"]


def test_the_image_holds_every_package_and_module_of_the_project():
    copied = {
        word.strip("./")
        for line in re.findall(r"^COPY ([a-z].*)$", DOCKERFILE, re.MULTILINE)
        for word in shlex.split(line)
    }
    pyproject = (CHECKOUT / "pyproject.toml").read_text()
    modules = re.findall(r'"(\w+)"', re.search(r"py-modules = (.*)", pyproject)[1])
    packages = re.findall(r'"(\w+)"', re.search(r"^packages = (\[.*\])", pyproject, re.MULTILINE)[1])
    assert {f"{name}.py" for name in modules} | set(packages) - {"benchmarks"} <= copied
    let_through = set(re.findall(r"^!(.*)$", (CHECKOUT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied - {""} == let_through


def test_the_farms_containers_have_no_rights_to_spare_and_time_to_finish():
    others = {"migrate", "beat", "flower", "dashboard", "sandbox"}
    assert set(FARM) == {f"worker-{lane}" for lane in celeryconfig.LANES} | others
    for name, service in FARM.items():
        assert service["user"] == "10001:10001", name
        assert "SECRET" not in str(service.get("environment")), name
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] != "0", name
        assert service["mem_limit"], name
    for lane in celeryconfig.LANES:
        assert int(FARM[f"worker-{lane}"]["stop_grace_period"].removesuffix("s")) > celeryconfig.task_time_limit


def test_every_service_can_be_scaled_and_none_listens_beyond_this_machine():
    for name, service in SERVICES.items():
        assert "container_name" not in service, name
        assert "hostname" not in service, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_workers_wait_for_the_schema_and_the_broker():
    for name in FARM.keys() - {"migrate", "sandbox"}:
        waits = SERVICES[name]["depends_on"]
        assert waits["migrate"]["condition"] == "service_completed_successfully"
        assert waits["redis"]["condition"] == "service_healthy"
    for name in SERVICES.keys() - {"migrate"}:
        assert SERVICES[name]["healthcheck"]["test"]


def test_the_broker_never_evicts_and_survives_a_restart():
    config = (CHECKOUT / COMPOSE["configs"]["valkey"]["file"]).read_text().splitlines()
    assert {"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"} <= set(config)
    assert "aclfile /run/secrets/valkey_users" in config


def test_what_is_only_for_trying_out_and_for_watching_is_started_when_it_is_asked_for():
    optional = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert optional == {"sandbox": ["demo"], "prometheus": ["monitoring"], "grafana": ["monitoring"]}
