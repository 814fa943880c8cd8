"""Coinbase's examples and errors, as its dialect tells them, against what the provider asks for and reads.

Deliberately not here: what the dialect itself answers (tests/sandbox), any other window (test_coinbase*.py).
"""

from __future__ import annotations

import pytest

from ingest.providers import coinbase
from sandbox.contract import Conforming
from sandbox.dialects.coinbase import Coinbase
from tests.providers.conforming import KINDS, copied_rows, error_led_to, expected_rows, with_counted_times

EXAMPLES, ERROR_CASES = Coinbase(7).examples(), Coinbase(7).error_cases()


@pytest.fixture
def exchange():
    dialect = Coinbase(7)
    dialect.limits |= dict.fromkeys(("requests_per_s", "burst"), 10**9)
    return dialect


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_comes_whole_each_row_once_and_to_the_digit(exchange, example):
    rows, _ = copied_rows(coinbase, exchange, example)
    assert rows == with_counted_times(expected_rows(exchange, example))


def test_the_examples_are_of_every_dataset_and_take_several_pages_where_there_are_pages(exchange):
    assert isinstance(exchange, Conforming)
    assert {example.dataset for example in EXAMPLES} == set(coinbase.facts.datasets)
    for dataset, pages in (("bars", 5), ("trades", 5)):
        assert max(copied_rows(coinbase, exchange, one)[1] for one in EXAMPLES if one.dataset == dataset) >= pages


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_its_documentation_says(exchange, case):
    error = error_led_to(coinbase, exchange, case)
    assert (type(error) if error else None) is KINDS[case.decision]
    assert case.source.startswith("https://")
