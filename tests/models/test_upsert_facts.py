"""The write path for news, observations, posts and actions: what is one row, what a change is, what was known when."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError

from models.upsert import Written
from tests.models.rows import DAY, OBSERVED, counted, ledger, select, store


def article(name="a", *, observed=0, **values):
    row = {"series_id": 1, "ts": DAY, "article_id": name, "title": "T", "url": "https://example.com/a"}
    row |= {"instruments": '"{""AAPL"",""NULL""}"', "sentiments": '"{""AAPL"": {""score"": ""0.10""}}"'}
    return row | {"observed_at": OBSERVED + timedelta(seconds=observed), "job_id": 1} | values


def observation(value, *, vintage="2024-04-01", given="t", observed=0, **values):
    row = {"series_id": 1, "ts": DAY, "vintage": vintage, "vintage_given": given, "value": value}
    return row | {"observed_at": OBSERVED + timedelta(seconds=observed), "job_id": 1} | values


def post(name="1799999999999999999", *, observed=0, **values):
    row = {"series_id": 1, "ts": DAY, "post_id": name, "text": "t", "instruments": "{}", "likes": "3"}
    return row | {"observed_at": OBSERVED + timedelta(seconds=observed), "job_id": 1} | values


def action(kind="dividend", *, observed=0, **values):
    row = {"series_id": 1, "ts": DAY, "kind": kind, "action_id": '""'}
    row |= {"amount": "0.260"} if kind == "dividend" else {"split_from": "1", "split_to": "4"}
    return row | {"observed_at": OBSERVED + timedelta(seconds=observed), "job_id": 1} | values


VALUES = "SELECT vintage::text, value::text FROM observations ORDER BY ts, vintage"


def test_an_article_keeps_its_names_and_scores_and_one_called_null_is_no_null(sessions):
    assert store(sessions, article(), dataset="news") == Written(1, 0, 0)
    assert select(sessions, "SELECT instruments, sentiments FROM news") == [
        (["AAPL", "NULL"], {"AAPL": {"score": "0.10"}})
    ]


def test_an_article_listed_again_as_it_was_changes_nothing_and_a_new_title_keeps_the_old_one(sessions):
    store(sessions, article(), dataset="news")
    assert store(sessions, article(observed=5), dataset="news") == Written(0, 0, 0)
    assert store(sessions, article(observed=6, title="U"), dataset="news") == Written(0, 1, 1)
    assert select(sessions, "SELECT old_row->>'title' FROM revisions") == [("T",)]


def test_an_article_dated_anew_is_still_one_and_counted_once_under_its_first_day(sessions):
    store(sessions, article(), dataset="news")
    later = article(observed=5, ts=DAY + timedelta(days=3), title="U")
    assert store(sessions, later, dataset="news") == Written(0, 1, 1)
    assert select(sessions, "SELECT ts, title FROM news") == [(DAY, "U")]
    assert ledger(sessions) == counted(sessions, "news") == [(DAY.date(), 1, 1)]


def test_a_later_vintage_stands_beside_the_earlier_one_and_overwrites_nothing(sessions):
    store(sessions, observation("4.0"), dataset="observations")
    assert store(sessions, observation("4.1", vintage="2024-05-01"), dataset="observations") == Written(1, 0, 0)
    assert select(sessions, VALUES) == [("2024-04-01", "4.0"), ("2024-05-01", "4.1")]
    assert select(sessions, "SELECT count(*) FROM revisions") == [(0,)]
    assert ledger(sessions) == counted(sessions, "observations") == [(DAY.date(), 2, 2)]


def test_a_vintage_that_repeats_a_value_is_kept_where_the_provider_dates_it(sessions):
    store(sessions, observation("4.0"), dataset="observations")
    assert store(sessions, observation("4.0", vintage="2024-05-01"), dataset="observations") == Written(1, 0, 0)


def test_without_vintages_a_value_is_new_only_where_it_differs_from_what_was_known(sessions):
    """Polled each day: the same, the same, a correction, the same again, and back to the first value."""
    days = (("4.0", 1), ("4.0", 2), ("4.1", 3), ("4.10", 4), ("4.0", 5))
    for value, day in days:
        row = observation(value, vintage=f"2024-04-0{day}", given="f", observed=day)
        store(sessions, row, dataset="observations")
    assert select(sessions, VALUES) == [("2024-04-01", "4.0"), ("2024-04-03", "4.1"), ("2024-04-05", "4.0")]


def test_without_vintages_a_value_that_becomes_missing_is_known_as_missing(sessions):
    for value, day in (("4.0", 1), ("", 2), ("", 3)):
        row = observation(value, vintage=f"2024-04-0{day}", given="f", observed=day)
        store(sessions, row, dataset="observations")
    assert select(sessions, VALUES) == [("2024-04-01", "4.0"), ("2024-04-02", None)]


def test_without_vintages_two_values_of_one_day_are_the_later_one_and_a_revision(sessions):
    store(sessions, observation("4.0", given="f"), dataset="observations")
    assert store(sessions, observation("4.2", given="f", observed=9), dataset="observations") == Written(0, 1, 1)
    assert select(sessions, VALUES) == [("2024-04-01", "4.2")]
    assert select(sessions, "SELECT old_row->>'value' FROM revisions") == [("4.0",)]


def test_a_posts_new_counts_replace_the_old_ones_which_are_kept(sessions):
    store(sessions, post(), dataset="posts")
    assert store(sessions, post(observed=5), dataset="posts") == Written(0, 0, 0)
    assert store(sessions, post(observed=6, likes="4"), dataset="posts") == Written(0, 1, 1)
    assert select(sessions, "SELECT likes FROM posts") == [(4,)]
    assert select(sessions, "SELECT old_row->>'likes' FROM revisions") == [("3",)]


def test_a_split_and_a_dividend_of_one_day_stand_side_by_side_with_all_digits(sessions):
    assert store(sessions, action(), action("split"), dataset="actions") == Written(2, 0, 0)
    found = select(sessions, "SELECT kind, amount::text, split_to FROM actions ORDER BY kind")
    assert found == [("dividend", "0.260", None), ("split", None, Decimal(4))]


@pytest.mark.parametrize(
    "row", [action(amount=""), action("split", split_to=""), action("split", split_to="0"), action("merger")]
)
def test_an_action_that_says_nothing_is_refused_by_the_table_itself(sessions, row):
    with pytest.raises(IntegrityError):
        store(sessions, row, dataset="actions")


def test_a_quote_needs_one_price_of_any_kind(sessions):
    row = {"series_id": 1, "ts": DAY, "last": "1.10", "observed_at": OBSERVED, "job_id": 1}
    assert store(sessions, row, dataset="quotes").inserted == 1
    with pytest.raises(IntegrityError):
        store(sessions, {**row, "ts": DAY + timedelta(seconds=1), "last": ""}, dataset="quotes")
