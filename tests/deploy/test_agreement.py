"""Compose, Kubernetes, systemd and celeryconfig say the same: queues, commands, time to stop, settings, secrets.

Deliberately not here: booting any of it (no Docker engine, cluster or systemd where this was written), Compose by
itself (tests/test_compose.py). Invariant: what one of them runs, all of them run.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess

import pytest
import yaml

import celeryconfig
from ingest.settings import CHECKOUT, Settings
from tests.test_compose import DOCKERFILE, FARM, SERVICES, queues_of

DEPLOY = CHECKOUT / "deploy"
HEARTBEAT = "/tmp/heartbeat"  # noqa: S108 - in a container of its own
QUEUES = sorted(queue.name for queue in celeryconfig.task_queues)
OBJECTS = [
    one for file in sorted((DEPLOY / "k8s").glob("*.yaml")) for one in yaml.safe_load_all(file.read_text()) if one
]
UNITS = {file.name: file for file in (DEPLOY / "systemd").glob("tickfarm*") if file.is_file()}


def of_kind(kind):
    return {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == kind}


DEPLOYMENTS = of_kind("Deployment")
WORKERS = {f"worker-{lane}" for lane in celeryconfig.LANES}


def pod_of(one):
    return one["spec"]["template"]["spec"]


def container_of(one):
    [container] = pod_of(one)["containers"]
    return container


def unit(name):
    """Return a unit's [Service], where a setting that is repeated is one text."""
    read = configparser.RawConfigParser(strict=False, delimiters="=", comment_prefixes="#", allow_no_value=True)
    read.optionxform = str
    read.read_string(UNITS[name].read_text())
    return read["Service"]


def environment_of(name):
    return dict(
        re.findall(r"([A-Z_]+)=(\S+)", "\n".join(re.findall(r"^Environment=(.*)$", UNITS[name].read_text(), re.M)))
    )


def test_kubernetes_runs_the_commands_of_compose_and_every_queue_has_one_lane_of_consumers():
    commands = {name: container_of(one)["command"] for name, one in (DEPLOYMENTS | of_kind("Job")).items()}
    assert commands == {name: service["command"] for name, service in FARM.items() if name != "sandbox"}
    assert sorted(queue for queues in queues_of(commands.values()) for queue in queues) == QUEUES


def test_systemd_runs_the_commands_of_compose():
    command = unit("tickfarm-worker@.service")["ExecStart"]
    children = {"maintenance": "1"}
    lanes = {
        f"worker-{lane}": command.replace("%%", "%").replace("%i", lane).replace("${CHILDREN}", children.get(lane, "2"))
        for lane in celeryconfig.LANES
    }
    others = {
        name: unit(f"tickfarm-{name}.service")["ExecStart"] for name in ("beat", "flower", "dashboard", "migrate")
    }
    found = {name: one.removeprefix("/opt/tickfarm/.venv/bin/").split() for name, one in (lanes | others).items()}
    in_compose = {name: service["command"] for name, service in FARM.items() if name != "sandbox"}
    assert found == {
        name: [part.replace("0.0.0.0", "127.0.0.1") for part in command]  # noqa: S104
        for name, command in in_compose.items()
    }
    drop_in = (DEPLOY / "systemd" / "tickfarm-worker@maintenance.service.d" / "children.conf").read_text()
    assert "Environment=CHILDREN=1\n" in drop_in
    assert environment_of("tickfarm-worker@.service")["CHILDREN"] == "2"
    wanted = set(
        re.findall(r"[\w@-]+\.service", "".join(re.findall(r"^Wants=.*$", UNITS["tickfarm.target"].read_text(), re.M)))
    )
    assert wanted == {f"tickfarm-{name.replace('worker-', 'worker@')}.service" for name in in_compose} - {
        "tickfarm-migrate.service"
    }


def test_every_worker_has_longer_to_stop_than_a_task_may_take():
    limit = celeryconfig.task_time_limit
    for name in WORKERS:
        assert pod_of(DEPLOYMENTS[name])["terminationGracePeriodSeconds"] > limit, name
    assert int(unit("tickfarm-worker@.service")["TimeoutStopSec"]) > limit


def test_the_lanes_that_people_wait_for_have_two_workers_and_beat_is_one_that_is_never_two():
    assert DEPLOYMENTS.keys() == WORKERS | {"beat", "flower", "dashboard"}
    for name in ("worker-live", "worker-standard", "dashboard"):
        assert DEPLOYMENTS[name]["spec"]["replicas"] >= 2
    assert (DEPLOYMENTS["beat"]["spec"]["replicas"], DEPLOYMENTS["beat"]["spec"]["strategy"]) == (
        1,
        {"type": "Recreate"},
    )


def test_a_pod_has_no_rights_to_spare_states_what_it_needs_and_is_probed_without_any_server():
    for name, one in DEPLOYMENTS.items():
        container = container_of(one)
        assert pod_of(one)["securityContext"]["runAsNonRoot"], name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert container["resources"]["limits"]["memory"], name
        liveness = container["livenessProbe"]
        assert f"{HEARTBEAT} " in str(liveness) or liveness["httpGet"]["path"] in {"/livez", "/healthcheck"}, name
        assert container["readinessProbe"], name
    for name in WORKERS:
        assert f"{HEARTBEAT}.ready" in str(DEPLOYMENTS[name]["spec"]["template"]), name
        assert f"{HEARTBEAT}.ready" in str(SERVICES[name]["healthcheck"]), name
    assert of_kind("ConfigMap")["tickfarm-settings"]["data"]["TICKFARM_HEARTBEAT_FILE"] == HEARTBEAT


def test_every_lane_is_scaled_by_both_of_its_queues_up_to_a_bound_and_drained_one_at_a_time():
    scaled, budgets = of_kind("ScaledObject"), of_kind("PodDisruptionBudget")
    assert scaled.keys() == WORKERS
    listed = []
    for name, one in scaled.items():
        spec = one["spec"]
        assert spec["scaleTargetRef"]["name"] == name
        assert spec["minReplicaCount"] == DEPLOYMENTS[name]["spec"]["replicas"] < spec["maxReplicaCount"] <= 10
        listed += [trigger["metadata"]["listName"] for trigger in spec["triggers"]]
    prefix = celeryconfig.broker_transport_options["global_keyprefix"]
    assert sorted(listed) == [f"{prefix}{queue}" for queue in QUEUES]
    assert budgets.keys() == WORKERS | {"dashboard"}
    assert {one["spec"]["maxUnavailable"] for one in budgets.values()} == {1}


def test_what_selects_pods_selects_some():
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in DEPLOYMENTS.values()]
    for kind in ("PodDisruptionBudget", "Deployment", "Service"):
        for name, one in of_kind(kind).items():
            selector = one["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            assert [one for one in labels if wanted.items() <= one.items()] == [
                {"app.kubernetes.io/name": "tickfarm", "app.kubernetes.io/component": name}
            ]


def test_kustomize_lists_every_file_but_the_secrets_and_every_secret_named_is_in_the_example():
    [kustomization] = [one for one in OBJECTS if one["kind"] == "Kustomization"]
    files = {file.name for file in (DEPLOY / "k8s").glob("*.yaml")}
    assert set(kustomization["resources"]) == files - {"kustomization.yaml", "secrets.example.yaml"}
    secrets = {name: set(one["stringData"]) for name, one in of_kind("Secret").items()}
    text = "\n".join(file.read_text() for file in (DEPLOY / "k8s").glob("*.yaml"))
    referenced = set(re.findall(r"name: (tickfarm-\w+), key: ([\w.]+)", text))
    assert referenced
    for name, key in referenced:
        assert key in secrets[name]
    assert set(re.findall(r"secretName: ([\w-]+)|secretRef: \{ name: ([\w-]+)", text)) == {
        ("tickfarm-addresses", ""),
        ("", "tickfarm-keys"),
    }


def test_every_setting_that_is_named_exists():
    known = {name.upper() for name in Settings.model_fields} | {"TICKFARM_HOME", "TICKFARM_ENV_FILE"}
    known |= {f"{name}_FILE" for name in known}
    texts = [file.read_text() for file in DEPLOY.rglob("*") if file.is_file()]
    texts.append((CHECKOUT / "docker-compose.yml").read_text())
    named = {
        name for text in texts for name in re.findall(r"\b(TICKFARM_[A-Z_]+|DATABASE_URL\w*|REDIS_URL\w*)\b", text)
    }
    assert {name for name in named - known if not name.startswith("TICKFARM_DASHBOARD_")} == set()


def test_what_a_container_runs_is_in_the_image():
    for name, service in FARM.items():
        program, *arguments = service["command"]
        assert program in {"celery", "tickfarm", "python"}, name
        if program == "python":
            assert re.search(rf"^COPY {arguments[1]} {arguments[1]}$", DOCKERFILE, re.MULTILINE), name


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """Run the script that makes the secrets on a copy, twice; return its folder."""
    folder = tmp_path_factory.mktemp("secrets") / "deploy"
    shutil.copytree(DEPLOY, folder, ignore=shutil.ignore_patterns("secrets", "k8s"))
    made = []
    for _ in range(2):
        subprocess.run(["sh", str(folder / "make_secrets.sh")], check=True, capture_output=True)  # noqa: S607
        made.append({file.name: file.read_text() for file in (folder / "secrets").iterdir()})
    assert made[0] == made[1], "what is there stays as it is"
    return folder / "secrets"


def test_the_secrets_of_compose_are_made_once_and_are_what_their_readers_expect(secrets, monkeypatch):
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["secrets"]
    assert {one["file"] for one in compose.values()} <= {f"deploy/secrets/{file.name}" for file in secrets.iterdir()}
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in secrets.iterdir()} == {0o644}, "containers have their own accounts"
    # Whoever runs a farm beside the containers has both in .env; given twice, they would stop every start.
    assert {FARM["beat"]["environment"][name] for name in ("DATABASE_URL", "REDIS_URL")} == {""}
    for name in ("database_url", "redis_url"):
        monkeypatch.setenv(name.upper(), "")
        monkeypatch.setenv(f"{name.upper()}_FILE", str(secrets / name))
    config = Settings()
    password = (secrets / "postgres_password").read_text()
    assert len(password) == 32
    assert config.database_url.get_secret_value().endswith(f"//tickfarm:{password}@postgres:5432/tickfarm")
    password = (secrets / "redis_password").read_text()
    assert config.redis_url.get_secret_value() == f"redis://tickfarm:{password}@redis:6379/0"
    users = (secrets / "valkey_users").read_text().splitlines()
    assert users[0] == "user default off"
    assert users[1].startswith(f"user tickfarm on >{password} ~farm:* ~tickfarm:* ")
    assert all(line.startswith("user ") for line in users), "Valkey takes no comments there"


def test_no_secret_can_be_committed():
    done = subprocess.run(
        ["git", "check-ignore", "deploy/secrets/database_url", "deploy/k8s/secrets.yaml"],  # noqa: S607
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 128:
        pytest.skip("this is no git checkout")
    assert len(done.stdout.splitlines()) == 2
