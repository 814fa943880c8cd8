"""X: searches that cost what they weigh, documented posts read to the digit, what each refusal means."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadData, FixRequest, KeyRefused, SlowDown, TickfarmError, TryAgain, UnknownName
from ingest.market.symbols import is_instrument, is_pair
from ingest.pipeline.terms import refuse_unusable
from ingest.providers import x
from ingest.providers.contract import Query
from ingest.settings import Settings
from ingest.wire import Answer
from tests.providers.payloads import T0, payload

START = datetime(2024, 1, 15, 10, tzinfo=UTC)
WINDOW = Query("posts", ("AAPL",), None, START, START + timedelta(hours=1))
POLL = Query("posts", ("AAPL",), None, None, T0)
COUNTS = ("likes", "reposts", "replies", "quotes", "bookmarks", "impressions")


def reply(body, query=WINDOW, *, status=200, headers=None, received=T0):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(x.build(query)[0], status, headers or {}, body, T0, received)


def post(**changes):
    made = {"id": "1", "text": "t", "created_at": "2024-01-15T10:30:00.000Z", "edit_history_tweet_ids": ["1"]} | changes
    return {name: value for name, value in made.items() if value != "gone"}


def page(*posts, **meta):
    return {"data": list(posts), "meta": {"result_count": len(posts), **meta}}


def test_a_window_is_one_search_newest_first_that_weighs_what_it_may_return():
    (request,) = x.build(WINDOW)
    assert request.path == "/tweets/search/recent"
    assert request.params == (
        ("query", "$AAPL lang:en -is:retweet"),
        ("max_results", "100"),
        ("tweet.fields", "created_at,author_id,lang,public_metrics,entities"),
        ("sort_order", "recency"),
        ("start_time", "2024-01-15T10:00:00Z"),
        ("end_time", "2024-01-15T11:00:00Z"),
    )
    assert (request.instruments, request.weight) == (("AAPL",), 100)
    assert (request.start, request.end) == (WINDOW.start, WINDOW.end)


def test_a_live_poll_asks_for_the_fewest_posts_there_can_be_and_names_no_time():
    (request,) = x.build(POLL)
    assert dict(request.params).keys() == {"query", "max_results", "tweet.fields", "sort_order"}
    assert (dict(request.params)["max_results"], request.weight) == ("10", 10)
    assert request.start is request.end is None


@pytest.mark.parametrize("query", [WINDOW, POLL])
def test_no_request_expands_authors_because_each_would_be_billed(query):
    assert "expansions" not in dict(x.build(query)[0].params)


def test_each_instrument_is_a_search_of_its_own_since_a_post_does_not_say_which_term_it_met():
    requests = x.build(replace(WINDOW, instruments=("AAPL", "INTEREST.RATES", "AAPL")))
    assert [dict(request.params)["query"] for request in requests] == [
        "$AAPL lang:en -is:retweet",
        '"interest rates" lang:en -is:retweet',
    ]
    assert [request.instruments for request in requests] == [("AAPL",), ("INTEREST.RATES",)]


def test_a_window_between_seconds_is_asked_in_whole_ones_in_utc():
    east = timedelta(hours=2)
    zone = datetime.fromisoformat("2024-01-15T12:00:00.250+02:00")
    (request,) = x.build(replace(WINDOW, start=zone, end=zone + timedelta(milliseconds=1500)))
    assert dict(request.params)["start_time"] == "2024-01-15T10:00:00Z"
    assert dict(request.params)["end_time"] == "2024-01-15T10:00:02Z"
    assert zone.utcoffset() == east


def test_a_window_that_began_less_than_half_a_minute_ago_has_nothing_to_ask_yet():
    assert x.build(replace(WINDOW, end=START - timedelta(seconds=20))) == []


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (replace(WINDOW, dataset="news"), UnknownName),
        (replace(WINDOW, end=None), FixRequest),
        (replace(WINDOW, instruments=("BTC-USD",)), FixRequest),
        (replace(WINDOW, instruments=("aapl",)), FixRequest),
    ],
)
def test_what_x_can_not_answer_is_refused_before_it_is_sent(query, error):
    with pytest.raises(error):
        x.build(query)


def settings(**values):
    return Settings(_env_file=None, **values)


def test_the_farm_refuses_to_run_without_a_monthly_cap_and_runs_with_one():
    assert not any(limit.unit == "weight" for limit in x.facts.limits)
    for limits in (None, "450/15m", "450/15m, 100 weight/1d"):
        with pytest.raises(FixRequest, match=r"charges 0.005 USD.*TICKFARM_PROVIDERS__X__LIMITS"):
            refuse_unusable(settings(tickfarm_providers={"x": {"limits": limits}}), x.facts)
    refuse_unusable(settings(tickfarm_providers={"x": {"limits": "450/15m, 10000 weight/30d"}}), x.facts)


@pytest.mark.parametrize(
    ("instrument", "native"),
    [
        ("AAPL", "$AAPL"),
        ("BRK.B", "$BRK.B"),
        ("GOOGLE", "$GOOGLE"),
        ("BITCOIN", '"bitcoin"'),
        ("INTEREST.RATES", '"interest rates"'),
        ("S5", '"s5"'),
        ("FED.NEWS", '"fed news"'),
    ],
)
def test_up_to_six_letters_are_a_cashtag_and_anything_else_a_phrase(instrument, native):
    assert x.native_symbol(instrument) == native
    assert x.instrument_of(native) == instrument


@given(st.from_regex(r"\A[A-Z0-9]{1,9}(\.[A-Z0-9]{1,9}){0,3}\Z"))
def test_every_single_name_comes_back_from_its_search_term(name):
    assert is_instrument(name)
    assert not is_pair(name)
    assert x.instrument_of(x.native_symbol(name)) == name


@pytest.mark.parametrize("native", ["", "$", "AAPL", "$BTC_X", '"opec"', '"two  spaces"', "lang:en", "$AAPL $MSFT"])
def test_a_term_that_is_none_of_ours_has_no_instrument(native):
    assert x.instrument_of(native) is None


def test_there_is_no_catalogue():
    assert x.catalogue("apple") is None
    assert x.listed(reply(payload("x", "none"))) == []


def test_the_documented_posts_are_read_to_the_digit_under_the_first_id_of_their_history():
    parsed = x.parse(POLL, reply(payload("x", "search"), POLL))
    assert (parsed.time_unit, parsed.rejects) == ("ms", ())
    assert parsed.columns == {
        "instrument": ["AAPL", "AAPL"],
        "ts": [1705314600000, 1705314599907],
        "post_id": ["1234567890123456789", "1799999999999999990"],
        "author_id": ["9876543210", "2244994945"],
        "author": ["pythondev", None],
        "text": ["Just started learning Python and loving it!", "$AAPL &amp; $BRK.B up 2% https://t.co/x"],
        "language": ["en", "en"],
        "instruments": ["", "AAPL,BRK.B"],
        "likes": ["42", "3"],
        "reposts": ["5", "1"],
        "replies": ["2", "0"],
        "quotes": ["1", "0"],
        "bookmarks": [None, "7"],
        "impressions": [None, "12345678901234567"],
    }


def test_the_newest_editions_names_are_read_as_well():
    columns = x.parse(POLL, reply(payload("x", "post_fields"), POLL)).columns
    assert columns["post_id"] == ["1234567890"]
    assert [columns[name] for name in COUNTS] == [["3"], ["4"], ["0"], ["0"], ["2"], ["1"]]


def test_no_hits_are_no_rows_and_no_error_though_there_is_no_data():
    answer = reply(payload("x", "none"))
    assert x.error_of(answer) is None
    assert x.parse(WINDOW, answer).columns["post_id"] == []
    assert x.next_page(answer.request, answer) is None


def test_a_partial_success_keeps_its_posts_and_reports_what_it_lacks_without_the_providers_words():
    answer = reply(payload("x", "partial"))
    assert x.error_of(answer) is None
    parsed = x.parse(WINDOW, answer)
    assert parsed.columns["post_id"] == ["123"]
    (reject,) = parsed.rejects
    assert (reject.rule, reject.instrument) == ("missing_field", "AAPL")
    assert "456" in reject.row
    assert "Could not" not in reject.row


def test_only_what_came_because_of_whole_seconds_is_cut_and_all_else_stays():
    start = START + timedelta(milliseconds=250)
    query = replace(WINDOW, start=start, end=start + timedelta(seconds=5))
    stamps = ["09:59:59.999", "10:00:00.249", "10:00:00.250", "10:00:05.249", "10:00:05.250", "10:00:06.000"]
    posts = [post(id=str(i), created_at=f"2024-01-15T{stamp}Z") for i, stamp in enumerate(stamps)]
    posts = [{name: one[name] for name in ("id", "text", "created_at")} for one in posts]
    assert x.parse(query, reply(page(*posts), query)).columns["post_id"] == ["0", "2", "3", "5"]


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        "post",
        [],
        {},
        post(created_at="gone"),
        post(created_at=None),
        post(created_at="2024-01-15 10:30:00"),
        post(created_at="2024-13-15T10:30:00.000Z"),
        post(created_at="2024-01-15T10:30:00.000+01:00"),
        post(id="gone", edit_history_tweet_ids="gone"),
        post(edit_history_tweet_ids=[None]),
        post(edit_history_tweet_ids="1"),
        post(text=["t"]),
        post(author_id={}),
        post(lang=True),
        post(public_metrics=7),
        post(public_metrics={"like_count": []}),
    ],
)
def test_a_post_of_wrong_shape_is_rejected_and_the_others_are_kept(bad):
    parsed = x.parse(WINDOW, reply(page(post(id="2", edit_history_tweet_ids=["2"]), bad, post())))
    assert parsed.columns["post_id"] == ["2", "1"]
    assert [(r.instrument, r.rule) for r in parsed.rejects] == [("AAPL", "wrong_shape")]


def test_a_null_text_is_left_to_the_quality_rules():
    assert x.parse(WINDOW, reply(page(post(text=None)))).columns["text"] == [None]


def test_the_next_page_is_the_same_search_with_the_token_and_the_token_is_replaced():
    answer = reply(page(post(), next_token="b26v89c19zqg8o3f"))
    following = x.next_page(answer.request, answer)
    assert following.params == (*answer.request.params, ("next_token", "b26v89c19zqg8o3f"))
    assert (following.weight, following.start, following.end) == (100, WINDOW.start, WINDOW.end)
    third = x.next_page(following, replace(answer, request=following, body=json.dumps(page(next_token="c")).encode()))
    assert third.params == (*answer.request.params, ("next_token", "c"))


def test_a_live_poll_has_one_page():
    answer = reply(payload("x", "search"), POLL)
    assert x.next_page(answer.request, answer) is None


def test_a_token_that_stands_still_ends_the_pages_and_is_bad_data():
    first = reply(page(post(), next_token="same"))
    again = replace(first, request=x.next_page(first.request, first))
    assert x.next_page(again.request, again) is None
    with pytest.raises(BadData, match="next_token"):
        x.parse(WINDOW, again)


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"[]",
            b"7",
            b"{}",
            b'{"data":[]}',
            b'{"meta":{"result_count":3}}',
            b'{"meta":[]}',
            b"\xff",
            b"[" * 100_000,
        ),
        *(b'{"data":{},"meta":{"result_count":1}}', b'{"data":[],"meta":{"next_token":[7]}}'),
    ],
)
def test_a_page_that_is_no_page_is_bad_data(body):
    answer = reply(body)
    with pytest.raises(BadData) as bad:
        x.parse(WINDOW, answer)
    assert bad.value.rule == "unparsable_page"
    assert x.next_page(answer.request, answer) is None


@pytest.mark.parametrize(
    ("status", "name", "headers", "kind", "wait"),
    [
        (429, "rate_limit", {"x-rate-limit-reset": str(int(T0.timestamp()) + 642)}, SlowDown, 642.0),
        (429, "rate_limit", {"x-rate-limit-reset": str(int(T0.timestamp()) - 5)}, SlowDown, 0.0),
        (429, "rate_limit", {"retry-after": "7"}, SlowDown, 7.0),
        (429, "rate_limit", {}, SlowDown, None),
        (429, "usage_capped", {"x-rate-limit-reset": str(int(T0.timestamp()) + 642)}, SlowDown, 86400.0),
        (403, "usage_capped", {}, SlowDown, 86400.0),
        (402, "credits", {}, SlowDown, 86400.0),
        (402, "none", {}, SlowDown, 86400.0),
        (400, "end_too_near", {}, SlowDown, 30.0),
        (400, "invalid_request", {}, FixRequest, None),
        (401, "unauthorized", {}, KeyRefused, None),
        (403, "forbidden", {}, FixRequest, None),
        (404, "unauthorized", {}, FixRequest, None),
        (503, "rate_limit", {"retry-after": "9"}, TryAgain, 9.0),
        (502, "forbidden", {}, TryAgain, None),
        (200, "only_errors", {}, FixRequest, None),
    ],
)
def test_status_and_problem_say_what_to_do(status, name, headers, kind, wait):
    error = x.error_of(reply(payload("x", name), status=status, headers=headers))
    assert type(error) is kind
    assert (error.provider, error.status, error.retry_after_s) == ("x", status, wait)


def test_a_spent_cap_is_looked_at_again_when_the_utc_day_turns():
    late = T0.replace(hour=23, minute=59, second=30)
    error = x.error_of(reply(payload("x", "usage_capped"), status=429, received=late))
    assert error.retry_after_s == 30.0


def test_an_internal_error_inside_a_200_is_its_sides_failure():
    problem = {"title": "t", "detail": "d", "type": "https://api.x.com/2/problems/internal-error"}
    assert type(x.error_of(reply(problem))) is TryAgain
    assert type(x.error_of(reply({"errors": [problem]}))) is TryAgain


def test_a_refused_search_names_the_parameter_and_never_the_providers_words():
    error = x.error_of(reply(payload("x", "invalid_request"), status=400))
    assert "objects to query" in str(error)
    assert error.instrument == "AAPL"
    for name, status in (("invalid_request", 400), ("unauthorized", 401), ("forbidden", 403), ("usage_capped", 429)):
        body = json.loads(payload("x", name)) | {"detail": "your token SECRET-TOKEN is odd", "title": "SECRET-TOKEN"}
        assert "SECRET" not in str(x.error_of(reply(body, status=status)))


def test_a_refused_token_names_the_setting():
    assert "X_BEARER_TOKEN" in str(x.error_of(reply(payload("x", "unauthorized"), status=401)))


@pytest.mark.parametrize("name", ["search", "post_fields", "partial", "none"])
def test_a_documented_answer_is_no_error(name):
    assert x.error_of(reply(payload("x", name))) is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [(payload("x", "search")[:-40], TryAgain), (b"", TryAgain), (b"<html></html>", TryAgain), (b"no", BadData)],
)
def test_a_body_that_can_not_be_whole_json_is_an_error_even_in_a_200(body, kind):
    assert type(x.error_of(reply(body))) is kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["id", "tag", "a"]), inner, max_size=4),
    max_leaves=10,
)


@given(st.data(), st.sampled_from(["search", "post_fields", "partial", "only_errors", "end_too_near"]), JSON)
def test_a_documented_page_with_any_part_replaced_gives_rows_rejects_or_bad_data(data, name, value):
    whole = {"page": json.loads(payload("x", name))}
    part, key = whole, "page"
    while isinstance(part[key], list | dict) and part[key] and data.draw(st.booleans()):
        part = part[key]
        key = data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
    part[key] = value
    answer = reply(whole["page"])
    assert isinstance(x.error_of(answer), TickfarmError | None)
    following = x.next_page(answer.request, answer)
    assert following is None or following.params != answer.request.params
    try:
        parsed = x.parse(WINDOW, answer)
    except BadData:
        return
    assert len({len(column) for column in parsed.columns.values()}) == 1
    said = texts_of(json.loads(answer.body, parse_int=str, parse_float=str, parse_constant=str))
    for column in ("post_id", "author_id", "author", "text", "language", *COUNTS):
        assert set(parsed.columns[column]) <= said | {None}


def texts_of(value):
    """Return every text that stands in a document, numbers as they are written."""
    if isinstance(value, dict):
        return set().union(*map(texts_of, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(texts_of, value)) if value else set()
    return {value} if isinstance(value, str) else set()


@given(st.integers(0, 1200))
def test_a_page_cut_anywhere_is_bad_data_at_the_latest_when_it_is_parsed(length):
    body = payload("x", "search").rstrip()
    cut = reply(body[: min(length, len(body) - 1)])
    assert isinstance(x.error_of(cut), TickfarmError | None)
    assert x.next_page(cut.request, cut) is None
    with pytest.raises(BadData):
        x.parse(WINDOW, cut)
