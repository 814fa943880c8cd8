"""The linters of what is deployed find nothing: hadolint, compose-lint, yamllint, kubernetes-validate and the rest.

Deliberately not here: what these files must agree with (test_agreement.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ingest.settings import CHECKOUT

BIN = Path(sys.executable).parent
#: Kinds of other people's controllers: no schema of Kubernetes' own.
FOREIGN = {"ScaledObject", "TriggerAuthentication", "Kustomization"}


def lint(*command, cwd=CHECKOUT):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def installed(program, hint):
    """Return a program of the system's; without it the test is skipped, or fails in continuous integration."""
    found = shutil.which(program)
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{program} is not installed: {hint}")
    return found


def test_the_dockerfile_is_what_hadolint_wants():
    assert lint(BIN / "hadolint", "Dockerfile") == ""


def test_compose_lint_finds_nothing_of_high_severity():
    assert "PASS" in lint(BIN / "compose-lint", "docker-compose.yml")


def test_every_yaml_of_the_deployment_is_what_yamllint_wants():
    assert lint(BIN / "yamllint", "--strict", "docker-compose.yml", "deploy") == ""


def test_every_manifest_is_valid_and_holds_nothing_that_kubernetes_does_not_know(tmp_path):
    folder = tmp_path / "k8s"
    folder.mkdir()
    for file in sorted((CHECKOUT / "deploy" / "k8s").glob("*.yaml")):
        ours = [one for one in yaml.safe_load_all(file.read_text()) if one["kind"] not in FOREIGN]
        if ours:
            (folder / file.name).write_text(yaml.safe_dump_all(ours))
    assert len(list(folder.iterdir())) >= 10
    lint(BIN / "kubernetes-validate", "--strict", "--quiet", *sorted(folder.iterdir()))
    broken = folder / "broken.yaml"
    broken.write_text((folder / "beat.yaml").read_text().replace("replicas:", "replicsa:"))
    with pytest.raises(AssertionError, match="replicsa"):
        lint(BIN / "kubernetes-validate", "--strict", "--quiet", broken)


def test_what_prometheus_is_told_can_be_read():
    promtool = installed("promtool", "`.ci/packages` does it")
    lint(promtool, "check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml")


def test_the_units_are_what_systemd_wants(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    folder = tmp_path / "systemd"
    shutil.copytree(CHECKOUT / "deploy" / "systemd", folder)
    for file in folder.glob("*.service"):  # the programs are not installed here, so others stand in for them
        file.write_text(file.read_text().replace("/opt/tickfarm/.venv/bin/", "/bin/true "))
    units = sorted(folder.glob("*.service"))
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    ours = [
        line for line in done.stderr.splitlines() if "tickfarm" in line and "Failed to prepare filename" not in line
    ]
    assert ours == [], done.stderr
