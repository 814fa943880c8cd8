"""X's recent search as documented (docs of 2026-08-22): order, pages, fields, bounds, refusals, the two meters."""

import json

import pytest

from sandbox.contract import Answer, Conforming, Dialect, Request
from sandbox.dialects.x import PATH, SANDBOX_KEY, X
from sandbox.x_posts import MINUTE_MS, first_id_of, moment_of, posts_of

NOW_S = 1_795_401_420.5  # 2026-11-23 02:37:00.5 UTC
HOUR = {"start_time": "2026-11-23T01:00:00Z", "end_time": "2026-11-23T02:00:00Z"}
HEADERS = {"authorization": f"Bearer {SANDBOX_KEY}"}


@pytest.fixture
def dialect():
    return X(7)


def ask(dialect, *, now_s=NOW_S, headers=HEADERS, path=PATH, **query):
    texts = {name.replace("__", "."): str(value) for name, value in query.items()}
    outcome = dialect.answer(Request(path, texts, headers, "127.0.0.1", now_s))
    return outcome if isinstance(outcome, Answer) else outcome()


def read(dialect, **query):
    answer = ask(dialect, **{"query": "$TSLA", **query})
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def refusal(dialect, **query):
    answer = ask(dialect, **{"query": "$TSLA", **query})
    body = json.loads(answer.body)
    assert answer.status == 400
    assert body["type"] == "https://api.x.com/2/problems/invalid-request"
    return body["errors"][0]


def test_it_is_a_dialect_that_conforms(dialect):
    conforming: Conforming = dialect
    plain: Dialect = dialect
    assert isinstance(conforming, Conforming)
    assert plain.page(b"{}") is None
    assert "$AAPL" in plain.truth()


def test_by_default_the_ten_newest_come_up_to_half_a_minute_ago_newest_first(dialect):
    body = read(dialect, tweet__fields="created_at")
    stamps = [post["created_at"] for post in body["data"]]
    assert len(stamps) == body["meta"]["result_count"] == 10
    assert stamps == sorted(stamps, reverse=True)
    assert stamps[0] < "2026-11-23T02:36:30.5"
    assert (body["meta"]["newest_id"], body["meta"]["oldest_id"]) == (body["data"][0]["id"], body["data"][-1]["id"])


def test_only_id_text_and_history_come_unless_more_is_asked_for(dialect):
    assert set(read(dialect)["data"][0]) == {"id", "text", "edit_history_tweet_ids"}
    fields = "created_at,author_id,lang,public_metrics,entities"
    for name in ("tweet__fields", "post__fields"):
        post = read(dialect, **{name: fields})["data"][0]
        assert set(post) == {"id", "text", "edit_history_tweet_ids", *fields.split(",")}
        assert all(type(count) is int for count in post["public_metrics"].values())


def test_cashtags_stand_where_they_say(dialect):
    for post in read(dialect, query="$BRK.B", tweet__fields="entities")["data"]:
        (tag,) = post["entities"]["cashtags"]
        assert post["text"][tag["start"] : tag["end"]] == "$BRK.B"


def test_an_authors_expansion_brings_users_and_none_else_does(dialect):
    assert "includes" not in read(dialect)
    body = read(dialect, expansions="author_id", tweet__fields="author_id")
    assert {post["author_id"] for post in body["data"]} == {user["id"] for user in body["includes"]["users"]}


def test_the_start_is_inclusive_the_end_is_not_and_pages_join_to_every_post_once(dialect):
    pages, more = [], {}
    while True:
        body = read(dialect, max_results=20, tweet__fields="created_at,lang", **HOUR, **more)
        pages.append(body["data"])
        if "next_token" not in body["meta"]:
            break
        more = {"next_token": body["meta"]["next_token"]}
    assert len(pages) > 2
    assert all(len(page) == 20 for page in pages[:-1])
    minute = 1_795_395_600 // 60
    expected = [post for m in range(minute, minute + 60) for post in posts_of(7, "$TSLA", m)]
    assert [post["id"] for page in pages for post in page] == [str(post.id) for post in expected[::-1]]


def test_the_same_token_brings_the_same_page_whenever_it_is_asked(dialect):
    token = read(dialect, max_results=10, **HOUR)["meta"]["next_token"]
    first = read(dialect, max_results=10, next_token=token, **HOUR)
    assert read(dialect, max_results=10, pagination_token=token, now_s=NOW_S + 86_400, **HOUR) == first


def test_an_id_holds_its_moment_and_since_and_until_ids_are_exclusive(dialect):
    assert moment_of(first_id_of(1_795_395_600_123)) == 1_795_395_600_123
    ids = [post["id"] for post in read(dialect, max_results=30, **HOUR)["data"]]
    between = read(dialect, since_id=ids[20], until_id=ids[5], max_results=100)["data"]
    assert [post["id"] for post in between] == ids[6:20]


def test_languages_and_reposts_are_filtered_and_a_repost_filter_alone_is_no_query(dialect):
    all_of = read(dialect, max_results=100, tweet__fields="lang", **HOUR)["data"]
    english = read(dialect, query="$TSLA lang:en", max_results=100, tweet__fields="lang", **HOUR)["data"]
    own = read(dialect, query="$TSLA -is:retweet", max_results=100, **HOUR)["data"]
    assert 0 < len(english) < len(all_of)
    assert {post["lang"] for post in english} == {"en"}
    assert 0 < len(own) < len(all_of)
    assert refusal(dialect, query="-is:retweet")["parameters"] == {"query": ["-is:retweet"]}


def test_no_hits_are_a_count_of_zero_and_no_data(dialect):
    assert read(dialect, query="$NOBODY") == {"meta": {"result_count": 0}}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"query": ""}, "query"),
        ({"query": "x" * 513}, "query"),
        ({"query": '"open'}, "query"),
        ({"max_results": 9}, "max_results"),
        ({"max_results": 101}, "max_results"),
        ({"start_time": "2026-11-16T02:37:00Z"}, "start_time"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"end_time": "2026-11-23T02:36:51Z"}, "end_time"),
        ({"start_time": HOUR["end_time"], "end_time": HOUR["start_time"]}, "end_time"),
        ({"start_time": HOUR["start_time"], "since_id": 5}, "since_id"),
        ({"end_time": HOUR["end_time"], "until_id": 5}, "until_id"),
        ({"next_token": "a", "pagination_token": "a"}, "next_token"),
        ({"next_token": "*"}, "next_token"),
        ({"since_id": "x"}, "since_id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_not_documented_is_refused_and_the_parameter_named(dialect, query, parameter):
    assert list(refusal(dialect, **query)["parameters"]) == [parameter]


def test_an_end_ten_seconds_ago_is_old_enough(dialect):
    assert read(dialect, end_time="2026-11-23T02:36:50Z")["data"]


@pytest.mark.parametrize("headers", [{}, {"authorization": SANDBOX_KEY}, {"authorization": "Bearer other"}])
def test_a_request_without_the_bearer_token_is_unauthorized(dialect, headers):
    answer = ask(dialect, headers=headers, query="$TSLA")
    assert (answer.status, json.loads(answer.body)["type"]) == (401, "about:blank")


def test_the_full_archive_is_not_here(dialect):
    assert ask(dialect, path="/tweets/search/all", query="$TSLA").status == 404


def test_every_answer_says_what_is_left_of_the_window_and_the_one_too_many_gets_a_429(dialect):
    dialect.limits["requests_per_15_minutes"] = 3
    for left in (2, 1, 0):
        headers = dict(ask(dialect, query="$TSLA").headers)
        assert (headers["x-rate-limit-limit"], headers["x-rate-limit-remaining"]) == ("3", str(left))
    answer = ask(dialect, query="$TSLA", now_s=NOW_S + 899)
    assert (answer.status, json.loads(answer.body)) == (
        429,
        {"errors": [{"code": 88, "message": "Rate limit exceeded"}]},
    )
    assert int(dict(answer.headers)["x-rate-limit-reset"]) == 1_795_402_321
    assert ask(dialect, query="$TSLA", now_s=NOW_S + 900).status == 200


def test_a_post_is_billed_once_a_utc_day_and_a_spent_cap_answers_429_with_its_type(dialect):
    dialect.limits["posts_per_cycle"] = 11
    for _ in range(3):
        read(dialect, **HOUR)
    read(dialect, query="$AAPL", **HOUR)
    answer = ask(dialect, query="$TSLA", **HOUR)
    assert (answer.status, json.loads(answer.body)["type"]) == (429, "https://api.x.com/2/problems/usage-capped")
    dialect.forget_spending()
    read(dialect, **HOUR)
    read(dialect, now_s=NOW_S + 86_400, **HOUR)
    assert ask(dialect, query="$TSLA", **HOUR).status == 429


def test_spent_credits_answer_402(dialect):
    dialect.limits["credit_posts"] = 1
    read(dialect)
    answer = ask(dialect, query="$TSLA")
    assert (answer.status, json.loads(answer.body)["type"]) == (402, "https://api.x.com/2/problems/credits")


def test_the_posts_of_a_minute_are_the_same_for_ever_and_others_for_another_seed():
    minute = 29_923_357
    assert posts_of(7, "$TSLA", minute) == posts_of(7, "$TSLA", minute)
    whole = [[post for m in range(minute, minute + 60) for post in posts_of(seed, "$TSLA", m)] for seed in (7, 8)]
    assert whole[0] != whole[1]
    assert all(minute * MINUTE_MS <= post.time_ms < (minute + 60) * MINUTE_MS for post in whole[0])
    assert [post.id for post in whole[0]] == sorted(post.id for post in whole[0])
    assert any(len(post.history) == 2 for post in whole[0])


def test_through_the_server_a_window_comes_with_its_rate_headers(sandbox):
    answer = sandbox.get("/x/tweets/search/recent?query=%24AAPL&max_results=100", authorization="Bearer sandbox-key")
    assert (answer.status, answer.headers["x-rate-limit-limit"]) == (200, "450")
    assert len(json.loads(answer.data)["data"]) == 100
    sandbox.arm("x", "status", args={"status": 503})
    answer = sandbox.get("/x/tweets/search/recent?query=%24AAPL", authorization="Bearer sandbox-key")
    assert (answer.status, json.loads(answer.data)["title"]) == (503, "Internal Error")
