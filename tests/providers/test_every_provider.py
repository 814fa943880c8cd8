"""What holds for every file in ingest/providers: facts complete and sourced, polars unloaded, rules known."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ingest import providers
from ingest.errors import UnknownName
from ingest.market.intervals import INTERVALS
from ingest.market.quality import RULES
from ingest.market.records import DATASETS

PAYLOADS = Path(__file__).parent.parent / "payloads"


@pytest.mark.parametrize("name", providers.names())
def test_a_providers_facts_are_complete_and_in_our_words(name):
    facts = providers.get(name).facts
    assert facts.name == name
    assert set(facts.datasets) <= set(DATASETS)
    assert set(facts.intervals) <= set(INTERVALS)
    assert set(facts.batch or {}) <= set(facts.datasets)
    assert all(url.startswith("https://") for url in (facts.base_url, facts.docs_url, facts.terms_url))
    assert not facts.base_url.endswith("/")
    assert facts.limits
    assert all(limit.source.startswith("https://") and limit.amount > 0 < limit.per_s for limit in facts.limits)


@pytest.mark.parametrize("name", providers.names())
def test_a_provider_has_tests_and_payloads_that_say_where_they_come_from(name):
    assert (Path(__file__).parent / f"test_{name}.py").exists()
    assert "https://" in (PAYLOADS / name / "SOURCE.md").read_text()
    assert list((PAYLOADS / name).glob("*.json"))


def test_every_rule_a_parser_names_has_a_meaning():
    folder = Path(providers.__file__).parent
    named = {rule for file in folder.rglob("*.py") for rule in re.findall(r'\brule="(\w+)"', file.read_text())}
    assert named
    assert named <= RULES.keys()


def test_loading_every_provider_loads_no_polars_because_a_forked_child_would_hang():
    code = (
        "import sys; from ingest import providers; [providers.get(n) for n in providers.names()];"
        "import ingest.market.symbols, ingest.market.times, ingest.market.intervals; sys.exit('polars' in sys.modules)"
    )
    root = Path(providers.__file__).parent.parent.parent
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=root, check=False).returncode == 0


def test_an_unknown_provider_is_refused_with_the_list_of_those_that_exist():
    with pytest.raises(UnknownName, match=r"alpha_vantage, binance, .*, yahoo"):
        providers.get("binanse")
