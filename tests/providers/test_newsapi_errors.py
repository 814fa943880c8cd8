"""NewsAPI: what each refusal means, by status and by code, and that no word of it enters a message."""

from __future__ import annotations

import pytest

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain
from ingest.providers import newsapi
from tests.providers.payloads import T0, payload
from tests.providers.test_newsapi import reply


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait"),
    [
        (401, "api_key_missing", {}, KeyRefused, None),
        (401, "api_key_invalid", {}, KeyRefused, None),
        (401, "api_key_disabled", {}, KeyRefused, None),
        (401, "none", {}, KeyRefused, None),
        (429, "api_key_exhausted", {}, SlowDown, 86400.0),
        (429, "rate_limited", {}, SlowDown, 3600.0),
        (429, "rate_limited_briefly", {}, SlowDown, 60.0),
        (429, "rate_limited", {"retry-after": "7"}, SlowDown, 7.0),
        (429, "none", {}, SlowDown, None),
        (426, "too_old", {}, FixRequest, None),
        (400, "too_old", {}, FixRequest, None),
        (426, "maximum_results", {}, FixRequest, None),
        (400, "parameters_missing", {}, FixRequest, None),
        (400, "source_does_not_exist", {}, FixRequest, None),
        (400, "sources_too_many", {}, FixRequest, None),
        (404, "none", {}, FixRequest, None),
        (500, "unexpected", {}, TryAgain, None),
        (503, "api_key_invalid", {"retry-after": "9"}, TryAgain, 9.0),
    ],
)
def test_status_and_code_say_what_to_do(status, name, headers, kind, wait):
    error = newsapi.error_of(reply(payload("newsapi", name), status=status, headers=headers))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("newsapi", status, wait)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("api_key_invalid", KeyRefused),
        ("api_key_exhausted", SlowDown),
        ("rate_limited", SlowDown),
        ("too_old", FixRequest),
        ("unexpected", TryAgain),
    ],
)
def test_an_error_inside_a_200_is_the_same_error_and_never_an_empty_list(name, kind):
    assert type(newsapi.error_of(reply(payload("newsapi", name)))) is kind


def test_a_spent_key_is_asked_again_when_the_utc_day_turns():
    late = T0.replace(hour=23, minute=59, second=30)
    error = newsapi.error_of(reply(payload("newsapi", "api_key_exhausted"), status=429, received=late))
    assert error.retry_after_s == 30.0


def test_too_old_a_window_is_told_how_far_back_it_may_begin():
    assert "last 28 days" in str(newsapi.error_of(reply(payload("newsapi", "too_old"), status=426)))
    assert newsapi.facts.reach_days == {"news": 28}


@pytest.mark.parametrize("code", ["apiKeyInvalid", "parameterInvalid", "rateLimited", "SECRET-KEY", None])
def test_no_word_of_the_providers_enters_a_message(code):
    body = {"status": "error", "code": code, "message": "Your key SECRET-KEY is odd"}
    error = newsapi.error_of(reply(body, status=400))
    assert isinstance(error, TickfarmError)
    assert "SECRET" not in str(error)


@pytest.mark.parametrize("name", ["everything", "top_headlines", "none"])
def test_a_documented_answer_is_no_error(name):
    assert newsapi.error_of(reply(payload("newsapi", name))) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (payload("newsapi", "everything")[:-40], TryAgain),
        (b"", TryAgain),
        (b"<html></html>", TryAgain),
        (b"no", BadData),
    ],
)
def test_a_body_that_can_not_be_whole_json_is_an_error_even_in_a_200(body, kind):
    assert type(newsapi.error_of(reply(body))) is kind
