"""deploy/prometheus and deploy/grafana: rules fire when they should and only then, each says what to do.

Deliberately not here: that each metric exists (tests/tasks/test_observed.py scrapes a farm that works).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from ingest.settings import CHECKOUT

PROMETHEUS, GRAFANA = CHECKOUT / "deploy" / "prometheus", CHECKOUT / "deploy" / "grafana" / "dashboards"
RULES = [rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARDS = sorted(file for file in GRAFANA.glob("*.json"))


@pytest.fixture(scope="module")
def promtool():
    """Return what runs promtool and returns its exit code and words."""
    program = shutil.which("promtool")
    if program is None:
        assert "CI" not in os.environ, "CI must have promtool: .ci/packages installs it"
        pytest.skip("no promtool here: `.ci/packages` installs it")

    def run(*arguments):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def test_every_rule_fires_when_it_should_and_does_not_before(promtool):
    assert promtool("check", "rules", PROMETHEUS / "rules.yml")[0] == 0
    code, said = promtool("test", "rules", PROMETHEUS / "rules_test.yml")
    assert code == 0, said
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    expected = [(one["alertname"], bool(one["exp_alerts"])) for test in tests for one in test["alert_rule_test"]]
    assert set(expected) == {(rule["alert"], fires) for rule in RULES for fires in (True, False)}


def test_a_rule_with_another_bound_fails_its_test(promtool, tmp_path):
    text = (PROMETHEUS / "rules.yml").read_text()
    (tmp_path / "rules_test.yml").write_text((PROMETHEUS / "rules_test.yml").read_text())
    for before, after in (("> 0.1\n", "> 0.3\n"), ("< 0.99\n", "< 0.9\n"), ("for: 3h", "for: 5h")):
        assert text.count(before) == 1
        (tmp_path / "rules.yml").write_text(text.replace(before, after))
        assert promtool("test", "rules", tmp_path / "rules_test.yml")[0] != 0, before


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_rule_says_what_is_wrong_and_where_stands_what_to_do(rule):
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["for"]
    assert rule["annotations"].keys() == {"summary", "runbook"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (CHECKOUT / page).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def test_dashboards_keep_their_addresses_and_name_no_source_of_somebodys_own():
    boards = {file.stem: json.loads(file.read_text()) for file in DASHBOARDS}
    assert {name: board["uid"] for name, board in boards.items()} == {
        "data": "tickfarm-data",
        "farm": "tickfarm-farm",
        "providers": "tickfarm-providers",
    }
    for board in boards.values():
        panels = board["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels) > 5
        assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
        places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
        assert len(set(places)) == len(places)
