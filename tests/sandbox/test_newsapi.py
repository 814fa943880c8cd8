"""NewsAPI as documented (docs of autumn 2026): order, pages, bounds, the Developer plan's limits, its refusals."""

import json

import pytest

from sandbox.contract import Answer, Conforming, Dialect, Request
from sandbox.dialects.newsapi import SANDBOX_KEY, NewsApi
from sandbox.news_wire import BURST, BURST_AT_S, BURSTING, article_of, events_of

NOW_S = 1_795_401_420.5  # 2026-11-23 02:37:00.5 UTC
DAY = {"from": "2026-11-12", "to": "2026-11-12T23:59:59"}
MORNING = {"from": "2026-11-12", "to": "2026-11-12T06:00:00"}  # less than a hundred articles
HEADERS = {"x-api-key": SANDBOX_KEY}


@pytest.fixture
def dialect():
    made = NewsApi(7)
    made.limits |= {"requests_per_day": 10**6, "requests_per_12_hours": 10**6}
    return made


def ask(dialect, path="/everything", *, now_s=NOW_S, headers=HEADERS, **query):
    texts = {name: str(value) for name, value in query.items()}
    outcome = dialect.answer(Request(path, texts, headers, "127.0.0.1", now_s))
    return outcome if isinstance(outcome, Answer) else outcome()


def read(dialect, path="/everything", **query):
    answer = ask(dialect, path, **query)
    body = json.loads(answer.body)
    assert (answer.status, body["status"]) == (200, "ok"), body
    return body


def refusal(dialect, path="/everything", **query):
    answer = ask(dialect, path, **query)
    body = json.loads(answer.body)
    assert (list(body), body["status"]) == (["status", "code", "message"], "error")
    return answer.status, body["code"]


def test_it_is_a_dialect_that_conforms(dialect):
    plain: Dialect = dialect
    assert isinstance(dialect, Conforming)
    assert plain.page(b"{}") is None
    assert "bitcoin" in plain.truth()


def test_by_default_the_hundred_newest_come_that_are_a_day_old_newest_first(dialect):
    body = read(dialect, q="bitcoin")
    stamps = [article["publishedAt"] for article in body["articles"]]
    assert len(stamps) == 100 < body["totalResults"]
    assert stamps == sorted(stamps, reverse=True)
    assert "2026-11-21T" < stamps[0] <= "2026-11-22T02:37:00Z"


def test_an_article_has_the_documented_members_and_some_are_null(dialect):
    articles = read(dialect, q="bitcoin")["articles"]
    for article in articles:
        assert list(article) == [
            *("source", "author", "title", "description", "url", "urlToImage", "publishedAt", "content")
        ]
        assert list(article["source"]) == ["id", "name"]
        assert article["content"].endswith("chars]")
    for name in ("author", "description"):
        assert {type(article[name]) for article in articles} == {str, type(None)}
    assert len({article["url"] for article in articles}) == 100


def test_both_bounds_are_included_and_a_date_is_its_midnight(dialect):
    whole = read(dialect, q="apple", **MORNING)
    stamps = [article["publishedAt"] for article in whole["articles"]]
    first, last = stamps[-1], stamps[0]
    again = read(dialect, q="apple", **{"from": first, "to": last})
    assert again == whole
    inner = read(dialect, q="apple", **{"from": first.replace("Z", ""), "to": "2026-11-12T03:00:00"})
    assert 0 < inner["totalResults"] < whole["totalResults"]


def test_pages_are_slices_of_one_order_and_one_past_the_end_is_empty(dialect):
    whole = read(dialect, q='"interest rates"', **DAY)
    total = whole["totalResults"]
    pages = [read(dialect, q="interest rates", pageSize=30, page=i, **DAY)["articles"] for i in (1, 2, 3)]
    joined = [article for page in pages for article in page]
    assert joined == whole["articles"][:90]
    assert total == read(dialect, q="interest rates", pageSize=1, **DAY)["totalResults"]
    dialect.limits["results_most"] = 10_000
    assert read(dialect, q="apple", page=50, **DAY)["articles"] == []


def test_the_plan_serves_the_first_hundred_results_and_refuses_the_page_that_reaches_beyond(dialect):
    assert refusal(dialect, q="apple", page=2) == (426, "maximumResultsReached")
    assert refusal(dialect, q="apple", page=2, pageSize=60) == (426, "maximumResultsReached")
    assert len(read(dialect, q="apple", page=2, pageSize=50)["articles"]) == 50
    assert "results 100 to 200" in json.loads(ask(dialect, q="apple", page=2).body)["message"]


def test_popularity_and_relevancy_are_other_orders_of_the_same_articles(dialect):
    by_time = read(dialect, q="apple", **MORNING)["articles"]
    for order in ("popularity", "relevancy"):
        other = read(dialect, q="apple", sortBy=order, **MORNING)["articles"]
        assert other != by_time
        assert {article["url"] for article in other} == {article["url"] for article in by_time}


def test_what_nobody_writes_about_is_an_empty_list(dialect):
    assert read(dialect, q="nobody") == {"status": "ok", "totalResults": 0, "articles": []}


def test_headlines_come_by_twenty_and_differ_by_category(dialect):
    business = read(dialect, "/top-headlines", country="us", category="business")
    assert len(business["articles"]) == 20 < business["totalResults"] == 38
    general = read(dialect, "/top-headlines", country="us", pageSize=100)
    assert general == read(dialect, "/top-headlines", country="us", category="general", pageSize=100)
    assert len(general["articles"]) == 38
    assert {a["url"] for a in business["articles"]}.isdisjoint(a["url"] for a in general["articles"])


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/everything", {}, 400, "parametersMissing"),
        ("/everything", {"q": "x" * 501}, 400, "parameterInvalid"),
        ("/everything", {"q": "a", "sortBy": "date"}, 400, "parameterInvalid"),
        ("/everything", {"q": "a", "pageSize": 101}, 400, "parameterInvalid"),
        ("/everything", {"q": "a", "pageSize": 0}, 400, "parameterInvalid"),
        ("/everything", {"q": "a", "page": 0}, 400, "parameterInvalid"),
        ("/everything", {"q": "a", "from": "yesterday"}, 400, "parameterInvalid"),
        ("/everything", {"q": "a", "from": "2026-10-01"}, 426, "parameterInvalid"),
        ("/everything", {"sources": ",".join(f"s{i}" for i in range(21))}, 400, "sourcesTooMany"),
        ("/everything", {"sources": "no-such-paper"}, 400, "sourceDoesNotExist"),
        ("/top-headlines", {}, 400, "parametersMissing"),
        ("/top-headlines", {"country": "us", "sources": "cnn"}, 400, "parameterInvalid"),
        ("/top-headlines", {"country": "zz"}, 400, "parameterInvalid"),
        ("/top-headlines", {"country": "us", "category": "politics"}, 400, "parameterInvalid"),
        ("/archive", {"q": "a"}, 404, "endpointNotFound"),
    ],
)
def test_what_is_not_documented_is_refused_with_its_code(dialect, path, query, status, code):
    assert refusal(dialect, path, **query) == (status, code)


def test_a_bound_too_far_in_the_past_says_how_far_back_the_plan_reaches(dialect):
    message = json.loads(ask(dialect, q="a", **{"from": "2026-10-01"}).body)["message"]
    assert "as far back as 2026-10-24, but you have requested 2026-10-01" in message


@pytest.mark.parametrize(
    "headers", [{"x-api-key": SANDBOX_KEY}, {"authorization": SANDBOX_KEY}, {"authorization": f"Bearer {SANDBOX_KEY}"}]
)
def test_the_key_may_come_in_either_header_or_as_a_parameter(dialect, headers):
    assert read(dialect, q="apple", headers=headers)["totalResults"] > 0
    assert read(dialect, q="apple", headers={}, apiKey=SANDBOX_KEY)["totalResults"] > 0


def test_without_a_key_or_with_another_the_refusals_differ(dialect):
    assert refusal(dialect, q="apple", headers={}) == (401, "apiKeyMissing")
    assert refusal(dialect, q="apple", headers={"x-api-key": "other"}) == (401, "apiKeyInvalid")


def test_fifty_requests_in_twelve_hours_and_a_hundred_in_a_day_are_granted_and_no_more():
    dialect = NewsApi(7)
    for i in range(50):
        assert ask(dialect, q="apple", now_s=NOW_S + i).status == 200
    assert refusal(dialect, q="apple", now_s=NOW_S + 60) == (429, "rateLimited")
    for i in range(50):
        assert ask(dialect, q="apple", now_s=NOW_S + 43_300 + i).status == 200
    assert refusal(dialect, q="apple", now_s=NOW_S + 43_400) == (429, "rateLimited")
    dialect.forget_spending()
    assert ask(dialect, q="apple", now_s=NOW_S + 43_400).status == 200


def test_one_article_of_so_many_comes_as_removed_where_the_dial_says_so(dialect):
    before = read(dialect, q="apple", **DAY)
    assert "[Removed]" not in json.dumps(before)
    dialect.limits["removed_every"] = 3
    after = read(dialect, q="apple", **DAY)
    removed = [article for article in after["articles"] if article["title"] == "[Removed]"]
    assert 0 < len(removed) < len(after["articles"]) == len(before["articles"])
    assert {article["url"] for article in removed} == {"https://removed.com"}
    assert {article["publishedAt"] for article in removed} == {"1970-01-01T00:00:00Z"}


def test_the_articles_of_ten_minutes_are_the_same_for_ever_and_others_for_another_seed():
    slots = range(2_992_000, 2_992_144)
    days = [
        [article_of(seed, "apple", event) for slot in slots for event in events_of(seed, "apple", slot)]
        for seed in (7, 7, 8)
    ]
    assert days[0] == days[1] != days[2]
    assert all(slot * 600 <= one.time_s < slot * 600 + 600 for slot in slots for one in events_of(7, "apple", slot))
    assert len({one.time_s for one in days[0]}) < len(days[0])


def test_one_subject_has_more_articles_in_a_second_than_a_page_holds():
    noon = 20_000 * 86_400 + BURST_AT_S
    times = [one.time_s for one in events_of(7, BURSTING, noon // 600)]
    assert times.count(noon) >= BURST > 100


def test_through_the_server_a_search_comes_and_faults_speak_in_its_words(sandbox):
    answer = sandbox.get("/newsapi/everything?q=%22bitcoin%22&pageSize=5", **{"X-Api-Key": "sandbox-key"})
    assert (answer.status, len(json.loads(answer.data)["articles"])) == (200, 5)
    sandbox.arm("newsapi", "status", args={"status": 500})
    answer = sandbox.get("/newsapi/everything?q=%22bitcoin%22", **{"X-Api-Key": "sandbox-key"})
    assert (answer.status, json.loads(answer.data)["code"]) == (500, "unexpectedError")
