"""What the API refuses, and how: a clear 4xx in one shape, whatever stands in whichever parameter; the OpenAPI holds.

Deliberately not here: the rows (test_api_rows.py). Invariant: no request is answered with a 5xx or a traceback.
"""

from __future__ import annotations

import itertools
from urllib.parse import quote

import httpx
import hypothesis
import pytest
import schemathesis
from pydantic import TypeAdapter
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import text
from structlog.testing import capture_logs

from dashboard.api.documented import ErrorShape
from ingest.market.records import DATASETS
from tests.dashboard.conftest import serving
from tests.stored_rows import add_series, keep, rows_of

BARS = {"provider": "binance", "instrument": "BTC-USDT", "interval": "1m"}
GOOD = {
    "/v1/bars": BARS,
    **{f"/v1/{one}": {"provider": "binance", "instrument": "BTC-USDT"} for one in DATASETS if one != "bars"},
    **{f"/v1/{one}": {} for one in ("series", "coverage", "gaps", "providers", "health", "metrics", "jobs")},
    **{f"/v1/{one}": {} for one in ("findings", "capabilities")},
}
#: What these take is what all the others take.
EACH_KIND = ("/v1/bars", "/v1/series", "/v1/jobs")
HOSTILE = (
    "' OR 1=1 --",
    "'; DROP TABLE bars; --",
    "\\'; SELECT pg_sleep(9); --",
    "%s%(series)s%%",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "<script>alert(1)</script>",
    "../../../etc/passwd",
    "a\r\nSet-Cookie: x=1",
    "BTC-USDT\0",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{PILE OF POO}\ud800",
    "9" * 400,
    "-1",
    "1e400",
    "NaN",
    "",
    "[]",
    "2024-01-01T00:00:00+99:99",
    "2024-01-01[Europe/Nowhere]",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "x" * 20_000,
)


@pytest.fixture(scope="module", autouse=True)
def stored(served):
    """Some rows of each dataset."""
    sessions = served.context.sessions
    for dataset in DATASETS:
        keep(sessions, dataset, add_series(sessions, dataset=dataset), rows_of(dataset, 4))


@pytest.fixture(scope="module")
def document(client):
    return client.get("/v1/openapi.json", timeout=60).json()


def refused(answer, *statuses):
    """Say whether an answer is an error in the one shape, of one of these statuses; return its message."""
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/json"
    error = TypeAdapter(ErrorShape).validate_python(answer.json()).error
    assert error.status == answer.status_code
    assert "Traceback" not in answer.text
    return error.message, " ".join(error.details)


def parameters(document):
    """Return every path with each of its query parameters."""
    return [
        (path, one["name"])
        for path, methods in document["paths"].items()
        for one in methods["get"].get("parameters", ())
        if one["in"] == "query"
    ]


def test_every_resource_answers_and_is_documented(client, document):
    assert set(document["paths"]) == {*GOOD, "/v1/jobs/{job_id}"}
    for path, query in GOOD.items():
        assert client.get(path, params=query).status_code == 200, path
    for path, methods in document["paths"].items():
        assert list(methods) == ["get"]
        told = methods["get"]
        assert told["tags"], path
        assert told["summary"], path
        assert {"200", "400", "404", "422", "503"} <= set(told["responses"]), path
        assert told["responses"]["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorShape")


@pytest.mark.parametrize(
    ("path", "query", "status", "said"),
    [
        ("/v1/bars", {}, 422, "provider: Field required"),
        ("/v1/bars", BARS | {"strat": "2024-01-01"}, 422, "strat: Extra inputs are not permitted"),
        ("/v1/bars", BARS | {"provider": "binanse"}, 404, "accepted: binance"),
        ("/v1/bars", BARS | {"instrument": "BTC-USTD"}, 404, "accepted: BTC-USDT"),
        ("/v1/bars", BARS | {"instrument": "btc/usdt"}, 400, "did you mean BTC-USDT"),
        ("/v1/bars", BARS | {"interval": "7m"}, 404, "accepted: 1m"),
        ("/v1/bars", BARS | {"start": "yesterday"}, 400, "not a time"),
        ("/v1/bars", BARS | {"start": "1704067200"}, 400, "does not say its unit"),
        ("/v1/bars", BARS | {"start": "2024-01-02", "end": "2024-01-01"}, 400, "end must be after start"),
        ("/v1/bars", BARS | {"limit": "0"}, 422, "limit: Input should be greater than or equal to 1"),
        ("/v1/bars", BARS | {"limit": "99999999999999999999"}, 422, "limit: Input should be less than or equal"),
        ("/v1/bars", BARS | {"format": "xml"}, 422, "format: Input should be 'json', 'csv', 'parquet' or 'arrow'"),
        ("/v1/bars", BARS | {"fallback": "binance"}, 400, "named twice"),
        ("/v1/bars", BARS | {"cursor": "WyJub25lIl0"}, 400, "cursor"),
        ("/v1/quotes", {"provider": "binance", "instrument": "BTC-USDT", "as_of": "2024-01-01"}, 422, "as_of"),
        ("/v1/trades", {"provider": "binance", "instrument": "BTC-USDT", "interval": "1m"}, 422, "interval"),
        ("/v1/trades", {"provider": "binance"}, 422, "instrument: Field required"),
        ("/v1/trades", {"provider": "binance", "instrument": ["BTC-USDT"] * 101}, 422, "at most 100"),
        ("/v1/jobs", {"state": "lost"}, 422, "state"),
        ("/v1/jobs", {"lane": "fast"}, 404, "accepted: live, standard"),
        ("/v1/jobs", {"provider": "binanse"}, 404, "did you mean binance"),
        ("/v1/jobs/1", {}, 404, "there is no job 1"),
        ("/v1/jobs/0", {}, 422, "job_id"),
        ("/v1/jobs/99999999999999999999", {}, 422, "job_id"),
        ("/v1/coverage", {"last_days": "-1"}, 422, "last_days"),
        ("/v1/coverage", {"instrument": "btc"}, 400, "did you mean BTC"),
        ("/v1/nothing", {}, 404, "Not Found"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client, path, query, status, said):
    assert said in " ".join(refused(client.get(path, params=query), status))


def test_nothing_but_reading_is_taken(client):
    for path, method in itertools.product(("/v1/bars", "/v1/jobs"), ("POST", "PUT", "DELETE", "PATCH")):
        answer = client.request(method, path, params=BARS)
        assert refused(answer, 405)
        assert answer.headers["allow"] == "GET"


def test_no_parameter_lets_anything_in(client, served, document):
    with served.context.sessions() as session:
        before = session.execute(text("SELECT count(*) FROM bars")).scalar()
    with capture_logs() as logged:
        for path, name in parameters(document):
            for value in HOSTILE if path in EACH_KIND else HOSTILE[:1]:
                query = {k: v for k, v in GOOD[path].items() if k != name} | {name: _encodable(value)}
                answer = client.get(path, params=query)
                assert answer.status_code < 500, (path, name, value, answer.text[:300])
                assert "set-cookie" not in answer.headers
                assert "49" not in answer.text if "7*7" in value else True
                if answer.status_code >= 400:
                    refused(answer, 400, 404, 406, 422)
    with served.context.sessions() as session:
        assert session.execute(text("SELECT count(*) FROM bars")).scalar() == before
    assert "request_failed" not in {line["event"] for line in logged}
    assert not any("DROP TABLE" in str(line) or "script" in str(line) for line in logged)


def _encodable(value):
    """Return it as a query can say it: half a character as the bytes that some write for it."""
    return value.encode("utf-8", "surrogatepass") if any("\ud800" <= one <= "\udfff" for one in value) else value


@pytest.mark.parametrize("value", HOSTILE)
def test_no_header_and_no_path_lets_anything_in(client, value):
    plain = value.encode("ascii", "ignore").replace(b"\0", b"").replace(b"\r\n", b" ").strip()[:4000]
    for name in ("Accept", "If-None-Match", "Authorization", "Cookie", "Origin"):
        assert client.get("/v1/bars", params=BARS, headers={name: plain}).status_code in (200, 304, 406)
    quoted = quote(value[:200].encode("utf-8", "surrogatepass"), safe="")
    assert client.get(f"/v1/jobs/{quoted}").status_code in (200, 307, 404, 422)


def test_a_moment_of_any_zone_is_that_moment(client):
    rows = [
        client.get("/v1/bars", params=BARS | {"start": start}).json()["rows"]
        for start in ("2024-03-31T23:52", "2024-03-31T23:52:00Z", "2024-04-01T01:52:00+02:00", "2024-03-31T18:22-05:30")
    ]
    assert [len(one) for one in rows] == [2] * 4
    assert rows[1:] == rows[:-1]


def test_other_sites_read_only_where_they_are_set_and_never_with_cookies(config):
    ours, evil = "https://notebooks.example.com", "https://evil.example"
    with serving(config.model_copy(update={"tickfarm_dashboard_origins": f"{ours}, https://b.example/"})) as served:
        for origin, path, opened in (
            (ours, "/v1/series", ours),
            ("https://b.example", "/v1/series", "https://b.example"),
            (evil, "/v1/series", None),
            (ours, "/audit", None),
        ):
            answer = httpx.get(f"{served.url}{path}", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == opened
            assert "access-control-allow-credentials" not in answer.headers
        asked = {"Origin": ours, "Access-Control-Request-Method": "DELETE"}
        assert httpx.options(f"{served.url}/v1/series", headers=asked).status_code == 400


def test_without_the_setting_no_other_site_reads(client):
    answer = client.get("/v1/series", headers={"Origin": "https://notebooks.example.com"})
    assert "access-control-allow-origin" not in answer.headers


def test_the_openapi_holds_for_what_schemathesis_makes_up(served, document):
    schema = schemathesis.openapi.from_dict(document)
    checks = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
    tried = set()
    for result in schema.get_all_operations():
        operation = result.ok()

        @hypothesis.settings(
            max_examples=3,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def holds(case):
            case.call_and_validate(base_url=served.url, checks=list(checks), timeout=60)

        holds()
        tried.add(operation.path)
    assert tried == set(document["paths"])
