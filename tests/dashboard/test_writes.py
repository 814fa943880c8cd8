"""Every route that writes refuses whoever may not, and takes no form of somebody else's page. A new one is found here.

Deliberately not here: what each act does, beside its page.
"""

from __future__ import annotations

import httpx
import pytest
from fastapi.routing import APIRoute

from dashboard import pages
from tests.dashboard.conftest import TOKEN, serving

#: who may not write signs in and out here
OPEN = {"/sign-in", "/sign-out"}
NAMES = {"name": "binance", "lane": "live", "number": "1", "name:path": "poll"}
TOKEN_KNOWN = {"Authorization": f"Bearer {TOKEN}"}


def addresses(router):
    """Return the address of every route that is not for reading, its parameters filled in."""
    found = []
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:  # a router that is taken in whole
            found += addresses(inner)
        elif isinstance(route, APIRoute) and not route.methods <= {"GET", "HEAD"} and route.path not in OPEN:
            path = route.path
            for name, value in NAMES.items():
                path = path.replace(f"{{{name}}}", value)
            assert "{" not in path, f"say what stands for the parameter of {path}"
            found.append(path)
    return found


WRITES = addresses(pages.router)


def test_the_routes_that_write_are_found():
    assert len(WRITES) >= 20
    assert {"/providers/binance/hold", "/dead/discard", "/schedule", "/queues/scale/live", "/backfills"} <= set(WRITES)


@pytest.mark.parametrize("path", WRITES)
def test_who_has_not_signed_in_or_comes_from_elsewhere_writes_nothing(client, path):
    assert client.post(path, data={"sure": "yes"}).status_code == 401
    for elsewhere in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = client.post(path, data={"sure": "yes"}, headers=TOKEN_KNOWN | elsewhere)
        assert answer.status_code == 403
    assert client.get(path).status_code in {200, 404, 405, 422}  # reading writes nothing: test below


@pytest.fixture(scope="module")
def read_only(config):
    """Return a client, which knows the token, of a dashboard that writes nothing."""
    quiet = config.model_copy(update={"tickfarm_dashboard_writes": "off"})
    with serving(quiet) as served, httpx.Client(base_url=served.url, headers=TOKEN_KNOWN) as client:
        yield client


@pytest.mark.parametrize("path", WRITES)
def test_a_dashboard_that_only_reads_says_405(read_only, path):
    answer = read_only.post(path, data={"sure": "yes"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_nothing_of_this_was_written_down(served):
    with served.context.sessions() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM audit").scalar_one() == 0
