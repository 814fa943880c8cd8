"""Frankfurter's v1 as documented: one day, ranges, old names, business days, what is not found (read autumn 2026)."""

import json
from datetime import date

import pytest

from sandbox.contract import Conforming, Dialect, Request
from sandbox.dialects.frankfurter import Frankfurter
from sandbox.frankfurter_rates import CURRENCIES, ReferenceRates, cross, is_business_day, newest_day

NOW_S = 1_795_348_800.0  # 2026-11-22 12:00 UTC, a Sunday


@pytest.fixture(scope="module")
def loaded():
    return Frankfurter(7)


@pytest.fixture
def dialect(loaded):
    loaded.forget_spending()
    loaded.limits |= {"calls_per_minute": 600, "thinned_after_days": 0}
    return loaded


def ask(dialect, path, *, now_s=NOW_S, **query):
    return dialect.answer(Request(path, query, {}, "127.0.0.1", now_s))


def read(dialect, path, **query):
    said = ask(dialect, path, **query)
    assert said.status == 200, said.body
    return json.loads(said.body)


def refusal(dialect, path, **query):
    said = ask(dialect, path, **query)
    return said.status, json.loads(said.body)["message"]


def test_it_is_a_dialect_that_says_itself_what_must_come_of_it(dialect):
    assert isinstance(dialect, Conforming)
    assert all(hasattr(dialect, part) for part in Dialect.__annotations__)
    assert dialect.page(b"{}") is None
    assert "USD" in dialect.truth()
    assert len(dialect.error_cases()) >= 3


def test_the_latest_is_against_the_euro_and_of_the_last_business_day(dialect):
    page = read(dialect, "/latest")
    assert (page["amount"], page["base"], page["date"]) == (1.0, "EUR", "2026-11-20")
    assert "EUR" not in page["rates"]
    assert list(page["rates"]) == sorted(page["rates"])
    assert read(dialect, "/current") == page


def test_a_day_without_rates_is_answered_with_the_business_day_before(dialect):
    assert read(dialect, "/2024-04-01")["date"] == "2024-03-28"  # Easter Monday
    assert read(dialect, "/2030-01-01")["date"] == "2026-11-20"
    assert read(dialect, "/2024-04-02")["date"] == "2024-04-02"


def test_a_range_begins_with_the_business_day_on_or_before_its_start(dialect):
    page = read(dialect, "/2024-03-30..2024-04-03", symbols="USD")
    assert list(page["rates"]) == ["2024-03-28", "2024-04-02", "2024-04-03"]
    assert (page["start_date"], page["end_date"]) == ("2024-03-28", "2024-04-03")
    assert set(page["rates"]["2024-04-02"]) == {"USD"}
    assert read(dialect, "/2026-11-19..")["end_date"] == "2026-11-20"


def test_another_base_is_a_rounded_cross_and_knows_its_old_names(dialect):
    euro = read(dialect, "/2024-04-02")["rates"]
    page = read(dialect, "/2024-04-02", base="usd", symbols="eur,jpy")
    assert page["rates"]["JPY"] == pytest.approx(euro["JPY"] / euro["USD"], abs=0.005)
    assert page["rates"]["EUR"] == round(1 / euro["USD"], 5)
    assert read(dialect, "/2024-04-02", **{"from": "USD", "to": "EUR,JPY"}) == page


def test_an_amount_multiplies(dialect):
    one, ten = (read(dialect, "/2024-04-02", symbols="USD", amount=amount) for amount in ("1", "10"))
    assert ten["rates"]["USD"] == one["rates"]["USD"] * 10
    assert ten["amount"] == 10.0


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/1999-01-01", {}, (404, "not found")),
        ("/latest", {"base": "UAH"}, (404, "not found")),
        ("/latest", {"symbols": "UAH"}, (404, "not found")),
        ("/2027-01-01..2027-02-01", {}, (404, "not found")),
        ("/1998-01-01..1998-12-31", {}, (404, "not found")),
        ("/foo", {}, (404, "not found")),
        ("/2010-31-01", {}, (422, "invalid date")),
        ("/latest", {"base": "EUR", "symbols": "EUR"}, (422, "bad currency pair")),
        ("/latest", {"base": "USD", "symbols": "USD"}, (422, "bad currency pair")),
        ("/latest", {"amount": "0", "base": "USD"}, (422, "invalid amount")),
    ],
)
def test_what_is_not_found_and_what_is_no_request(dialect, path, query, expected):
    assert refusal(dialect, path, **query) == expected


def test_a_currency_has_rates_only_while_it_has(dialect):
    assert list(read(dialect, "/2021-12-30..2022-01-05", symbols="RUB,USD")["rates"]["2022-01-03"]) == ["USD"]
    assert refusal(dialect, "/2023-01-01..2023-02-01", symbols="RUB") == (404, "not found")
    assert "RUB" not in read(dialect, "/currencies")
    assert read(dialect, "/currencies")["EUR"] == "Euro"


def test_too_many_calls_are_refused_and_long_ranges_can_be_thinned(dialect):
    dialect.limits |= {"calls_per_minute": 3, "thinned_after_days": 90}
    days = list(read(dialect, "/2024-01-01..2024-12-31", symbols="USD")["rates"])
    assert all((date.fromisoformat(day) - date.fromisoformat(days[0])).days % 7 == 0 for day in days)
    assert [ask(dialect, "/latest").status for _ in range(3)] == [200, 200, 429]
    assert ask(dialect, "/latest", now_s=NOW_S + 60).status == 200


@pytest.mark.parametrize(
    ("day", "is_open"),
    [("2024-03-29", False), ("2024-04-01", False), ("2025-04-18", False), ("2025-04-21", False), ("2026-04-03", False),
     ("2026-05-01", False), ("2025-12-25", False), ("2025-12-26", False), ("2026-01-01", False), ("2026-01-02", True),
     ("2025-12-24", True), ("2026-11-21", False), ("2019-04-22", False), ("2000-04-21", False)],
)  # fmt: skip
def test_target_is_closed_on_weekends_and_six_holidays(day, is_open):
    assert is_business_day(date.fromisoformat(day)) is is_open


def test_rates_are_out_at_four_in_frankfurt_in_summer_and_winter():
    for stamp, day in (
        (1_782_309_599, "2026-06-23"),
        (1_782_309_600, "2026-06-24"),
        (1_795_532_399, "2026-11-23"),
        (1_795_532_400, "2026-11-24"),
    ):
        assert newest_day(stamp) == date.fromisoformat(day)


def test_a_rate_is_the_same_for_ever_and_has_no_more_digits_than_the_bank_gives():
    rates = ReferenceRates(7).of_day(date(2024, 4, 2))
    assert rates == ReferenceRates(7).of_day(date(2024, 4, 2))
    assert all(len(repr(rate).partition(".")[2]) <= CURRENCIES[code][2] for code, rate in rates.items())
    assert cross(rates, "EUR", "XXX") is cross({}, "USD", "EUR") is None
