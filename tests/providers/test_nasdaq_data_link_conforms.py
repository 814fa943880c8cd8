"""Nasdaq Data Link's examples and errors, as its dialect tells them, against what the provider asks for and reads.

Deliberately not here: what the dialect itself answers (tests/sandbox), several shares in one question.
"""

from __future__ import annotations

import pytest

from ingest.providers import nasdaq_data_link
from sandbox.contract import Conforming
from sandbox.dialects.nasdaq_data_link import NasdaqDataLink
from tests.providers.conforming import KINDS, copied_rows, error_led_to, expected_rows, with_counted_times

EXAMPLES, ERROR_CASES = NasdaqDataLink(7).examples(), NasdaqDataLink(7).error_cases()


@pytest.fixture
def link():
    return NasdaqDataLink(7)


@pytest.mark.parametrize("per_page", [10_000, 400])
@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_comes_whole_each_row_once_and_to_the_digit(link, monkeypatch, example, per_page):
    monkeypatch.setattr(nasdaq_data_link, "PAGE_ROWS", per_page)
    rows, pages = copied_rows(nasdaq_data_link, link, example)
    assert rows == with_counted_times(expected_rows(link, example))
    assert pages == -(-len(rows) // per_page)


def test_the_examples_hold_thousands_of_rows_and_bounds_off_midnight(link):
    assert isinstance(link, Conforming)
    assert len(expected_rows(link, EXAMPLES[0])) > 3_000
    days = [row["ts"] for row in expected_rows(link, EXAMPLES[-1])]
    assert (days[0], days[-1]) == ("2012-01-04T00:00:00Z", "2012-01-31T00:00:00Z")


@pytest.mark.parametrize("case", ERROR_CASES, ids=lambda case: case.name)
def test_each_of_its_errors_leads_to_what_its_documentation_says(link, case):
    error = error_led_to(nasdaq_data_link, link, case)
    assert (type(error) if error else None) is KINDS[case.decision]
    assert case.source.startswith("https://")
