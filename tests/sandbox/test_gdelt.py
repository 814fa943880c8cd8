"""GDELT's DOC API as documented: parameters, defaults, the cap of 250, sentences in place of JSON (read 2026-11-25)."""

import json
from datetime import UTC, datetime

import pytest

from sandbox.contract import Conforming, Request
from sandbox.dialects.gdelt import Gdelt

NOW_S = 1_795_401_440.5  # 2026-11-23 02:37:20.5 UTC
RATES = '"interest rates"'


@pytest.fixture(scope="module")
def news():
    dialect = Gdelt(7)
    dialect.limits["seconds_between"] = 0
    return dialect


def ask(news, query=RATES, *, now_s=NOW_S, client="127.0.0.1", **parameters):
    texts = {"query": query, "mode": "ArtList", "format": "json"} | {n: str(v) for n, v in parameters.items()}
    return news.answer(Request("/api/v2/doc/doc", texts, {}, client, now_s))


def read(news, query=RATES, **parameters):
    answer = ask(news, query, **parameters)
    assert (answer.status, answer.content_type) == (200, "application/json; charset=utf-8"), answer.body
    return json.loads(answer.body).get("articles", [])


def sentence(news, query=RATES, **parameters):
    answer = ask(news, query, **parameters)
    assert (answer.status, answer.content_type) == (200, "text/html; charset=utf-8")
    assert not answer.body.startswith(b"{")
    return answer.body.decode().strip()


def seconds(article):
    return datetime.strptime(article["seendate"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def test_articles_have_the_documented_fields_and_times_on_a_grid_of_quarters_of_an_hour(news):
    for article in read(news):
        assert list(article) == [
            *("url", "url_mobile", "title", "seendate", "socialimage", "domain", "language", "sourcecountry"),
        ]
        assert seconds(article) % 900 == 0
        assert article["url"].startswith(f"https://{article['domain']}/")


def test_75_come_unless_told_otherwise_and_never_more_than_250(news):
    assert len(read(news)) == 75
    assert len(read(news, maxrecords=3)) == 3
    assert len(read(news, maxrecords=250)) == len(read(news, maxrecords=10_000)) == 250


def test_they_come_newest_first_or_oldest_first(news):
    newest, oldest = read(news, sort="DateDesc", timespan="1d"), read(news, sort="DateAsc", timespan="1d")
    times = [seconds(article) for article in newest]
    assert times == sorted(times, reverse=True)
    assert NOW_S - 86_400 < seconds(oldest[0]) < NOW_S - 80_000
    assert NOW_S - 9_000 < times[0] <= NOW_S


def test_articles_are_seen_after_the_start_and_before_the_end_exclusive_or_by_a_dial_inclusive(news):
    bounds = {"startdatetime": "20240304120000", "enddatetime": "20240304140000", "maxrecords": 250}
    inner = {article["seendate"] for article in read(news, **bounds)}
    assert min(inner) > "20240304T120000Z"
    assert max(inner) < "20240304T140000Z"
    news.limits["bounds_inclusive"] = 1
    outer = {article["seendate"] for article in read(news, **bounds)}
    news.limits["bounds_inclusive"] = 0
    assert inner < outer


def test_history_begins_in_2017_and_no_article_is_seen_before_it_happens(news):
    assert read(news, startdatetime="20160101000000", enddatetime="20161231235959") == []
    first = read(news, startdatetime="20160101000000", enddatetime="20170108000000", sort="dateasc")[0]
    assert first["seendate"].startswith("201701")
    assert max(map(seconds, read(news, enddatetime="20300101000000"))) <= NOW_S


def test_a_topic_is_told_from_another_and_one_without_a_hit_gets_an_empty_object(news):
    assert read(news, "bitcoin") != read(news, "ethereum")
    assert ask(news, "zzqqxx").body == b"{}"
    assert read(news, "Bitcoin") == read(news, "bitcoin")


def test_alternatives_in_parentheses_and_operators_narrow_or_widen_a_search(news):
    window = {"startdatetime": "20240304000000", "enddatetime": "20240304120000", "maxrecords": 250}
    one, two = (read(news, word, **window) for word in ("bitcoin", "ethereum"))
    both = read(news, "(bitcoin OR ethereum)", **window)
    assert {article["url"] for article in both} == {article["url"] for article in one + two}
    german = read(news, "bitcoin sourcelang:deu", **window)
    assert german == [article for article in one if article["language"] == "German"] != []
    domain = one[0]["domain"]
    assert {article["domain"] for article in read(news, f"bitcoin domain:{domain}", **window)} == {domain}


@pytest.mark.parametrize(
    ("query", "parameters", "text"),
    [
        ("", {}, "Your query was too short or too long."),
        ("uk", {}, "Your query was too short or too long."),
        ("word " * 60, {}, "Your query was too short or too long."),
        ('"uk"', {}, "The specified phrase is too short."),
        ("of bitcoin", {}, "Your search contained a keyword that was too short."),
        ("bitcoin OR ethereum", {}, "Queries containing OR'd terms must be surrounded by ()."),
        ("(bitcoin)", {}, "Parentheses may only be used around OR'd statements."),
        ("bitcoin)", {}, "Your query contained an illegal character."),
        ("bitcoin", {"mode": "TimelineVol"}, "Invalid mode."),
        ("bitcoin", {"format": "csv"}, "Invalid format."),
        ("bitcoin", {"maxrecords": "many"}, "Invalid maxrecords."),
        ("bitcoin", {"sort": "random"}, "Invalid sort."),
        ("bitcoin", {"timespan": "yesterday"}, "Invalid timespan."),
        ("bitcoin", {"timespan": "5min"}, "Timespan is too short."),
        ("bitcoin", {"startdatetime": "2024-03-04"}, "Invalid start date."),
    ],
)
def test_a_wrong_search_gets_a_sentence_with_200(news, query, parameters, text):
    assert sentence(news, query, **parameters) == text


def test_a_request_within_five_seconds_gets_a_429_in_plain_text():
    news = Gdelt(7)
    assert read(news)
    early = ask(news, now_s=NOW_S + 4.9)
    assert (early.status, early.content_type) == (429, "text/plain; charset=utf-8")
    assert early.body.startswith(b"Please limit requests to one every 5 seconds")
    assert read(news, now_s=NOW_S + 5)
    assert read(news, client="127.0.0.2")
    news.forget_spending()
    assert read(news, now_s=NOW_S + 6)


def test_a_dial_puts_escapes_into_titles_that_json_does_not_know():
    news = Gdelt(7)
    news.limits["bad_escapes"] = 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(ask(news).body)


def test_no_answer_is_a_page_of_rows_that_are_lists_and_other_paths_are_not_there(news):
    assert news.page(ask(news).body) is None
    assert news.answer(Request("/api/v2/geo/geo", {}, {}, "127.0.0.1", NOW_S)).status == 404


def test_what_must_come_of_it_is_told_and_does_not_change(news):
    assert isinstance(news, Conforming)
    for example in news.examples():
        rows = news.rows(example, now_s=NOW_S)
        assert rows == news.rows(example, now_s=NOW_S + 10**6)
        assert [row["ts"] for row in rows] == sorted(row["ts"] for row in rows)
        assert all(example.start <= row["ts"] < example.end for row in rows)
    assert len(news.error_cases()) >= 3
    assert Gdelt(8).rows(example, now_s=NOW_S) != rows


def test_the_documented_path_answers_over_the_socket_too(sandbox):
    sandbox.control("POST", "limits", {"provider": "gdelt", "limits": {"seconds_between": 5}})
    path = "/gdelt/api/v2/doc/doc?query=%22interest%20rates%22&mode=ArtList&format=json&maxrecords=5"
    assert len(sandbox.read(path)["articles"]) == 5
    assert sandbox.get(path).status == 429
