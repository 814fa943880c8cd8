"""The pages about data: the heat-map says what the ledger says, series and findings show what is stored."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from ingest.pipeline.audit import By, write_down
from tests.dashboard.stored import SHOWN, Stored, store_everything

PAGES = (
    "/",
    "/?days=7&state=partial",
    "/series/{bars}",
    "/series/{shares}",
    "/findings",
    "/findings?rule=null_price",
    "/audit",
    "/audit?command=schedule&way=command",
)


@pytest.fixture(scope="module")
def stored(served: Any) -> Stored:
    """Return what this module's dashboard shows."""
    found = store_everything(served.context.sessions, datetime.now(UTC))
    httpx.get(served.url, timeout=60)  # the first page that asks for an exchange's calendar loads pandas
    return found


def cell_of(page: Page, series: str, day: str) -> Any:
    """Return the heat-map's cell of a series and a day, found as a reader of the table finds it."""
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=series))
    return row.locator(f'td.day[title^="{day}"]')


def test_each_state_of_the_ledger_is_one_of_the_heat_map(page, stored):
    page.goto("/?days=3")
    for at, shown in enumerate(SHOWN.values()):
        cell = cell_of(page, f"S{at}-USDT 1m", str(stored.yesterday))
        assert cell.locator(".hidden").inner_text() == shown
        glyph = cell.locator("[aria-hidden]").inner_text()
        assert glyph in page.locator(".legend li").filter(has_text=shown).inner_text()
        assert cell_of(page, f"S{at}-USDT 1m", str(datetime.now(UTC).date())).get_by_text("in progress").count() == 1


def test_days_without_a_market_are_closed_and_days_that_nobody_planned_missing(page, stored):
    page.goto("/?days=14&words=AAPL")
    for cell in page.locator("td.day").all():
        title = cell.get_attribute("title") or ""
        weekday = datetime.fromisoformat(title[:10]).weekday()
        if weekday > 4:
            assert title.endswith("closed")
    assert page.locator("td.day.missing").count() >= 7


def test_filters_find_series_and_say_when_none_fits(page, stored):
    page.goto("/?state=suspect")
    assert page.locator("tbody th").all_inner_texts() == ["S6-USDT 1m binance bars"]
    page.get_by_label("Instrument").fill("nothing-like-it")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No series fits.")).to_be_visible()
    assert "words=nothing-like-it" in page.url


def test_what_needs_a_human_is_said_with_a_link_and_a_command(client, stored):
    html = client.get("/").text
    for says, command in {
        "Beat is silent": "tickfarm up",
        "No worker is there": "tickfarm up",
        "binance is asked nothing until somebody lifts it (its terms changed)": "tickfarm lift binance",
        "1 day of 1 series is suspect": "tickfarm gaps --check",
        "1 piece of work is given up: ValueError 1": "tickfarm dead ls",
        "binance does not know GONE-USDT": "tickfarm unfollow binance bars GONE-USDT --interval 1m",
    }.items():
        line = next(one for one in html.splitlines() if says in one)
        assert f'<code class="same">{command}</code>' in line.replace("tickfarm tickfarm", "tickfarm")
        assert "<a href=" in line


def test_the_chart_draws_the_stored_bars_and_marks_the_hole(page, client, stored):
    data = client.get(f"/series/{stored.bars}/candles.json").json()
    assert (len(data["candles"]), len(data["missing"])) == (82, 7)
    assert data["missing"] == list(range(data["missing"][0], data["missing"][0] + 420, 60))
    page.goto(f"/series/{stored.bars}")
    expect(page.locator("#chart[data-bars='82'][data-missing='7'] canvas").first).to_be_visible()
    expect(page.get_by_role("group", name="Chart of 82 bars")).to_be_visible()


def test_a_series_page_has_its_bars_days_runs_revisions_and_findings(client, stored):
    html = client.get(f"/series/{stored.bars}").text
    for said in ("7 missing in 1 hole", "tickfarm jobs show", "What final rows said", "null_price"):
        assert said in html
    html = client.get(f"/series/{stored.by_state['suspect', 1440]}").text
    assert "tickfarm:payload:1:1" in html


def test_older_bars_are_a_link_away(page, stored):
    page.goto(f"/series/{stored.bars}?bars=50")
    expect(page.locator("#chart[data-bars='50']")).to_be_visible()
    page.get_by_role("link", name="Older bars").click()
    expect(page.locator("#chart[data-bars='32']")).to_be_visible()
    page.get_by_role("link", name="Newest bars").click()
    expect(page.locator("#chart[data-bars='50']")).to_be_visible()


def test_findings_are_grouped_filtered_and_escaped(page, stored):
    page.goto("/findings")
    kinds = page.get_by_role("table", name="Kinds, most rows first").locator("tbody tr")
    assert [row.split("\t")[0] for row in kinds.all_inner_texts()] == ["null_price", "missing_rows"]
    page.get_by_role("link", name="missing_rows").click()
    expect(page.get_by_role("table", name="findings, newest first").locator("tbody tr")).to_have_count(1)
    page.goto("/findings?severity=reject&words=btc")
    page.get_by_text("Sample").first.click()
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()


def test_acts_are_read_a_page_at_a_time_and_by_command_person_and_way(client, served, stored):
    with served.context.sessions.begin() as session:
        for at in range(150):
            way = "command" if at % 2 else "dashboard"
            write_down(session, By(f"user{at % 3}", way), f"schedule {'set' if at % 2 else 'pause'} e{at}", f"e{at}")
        write_down(session, By("user_", "command"), "scheduled_ %", "x")

    def subjects(path):
        html = client.get(path).text
        found = re.findall(r"<code>tickfarm schedule \w+ e(\d+)</code>", html)
        older = re.search(r'rel="next" href="([^"]+)"', html)
        return [int(one) for one in found], older and unescape(older[1])

    first, older = subjects("/audit?command=schedule")
    second, none = subjects(older)
    assert first + second == list(reversed(range(150)))
    assert (len(first), none) == (100, None)
    assert subjects("/audit?command=schedule+pause&actor=user1&way=dashboard")[0] == list(range(148, 0, -6))
    assert subjects("/audit?actor=user_") == ([], None)
    assert "No act fits." in client.get("/audit?actor=nobody").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/?days=0", 422),
        ("/?days=99999", 422),
        ("/?page=0", 422),
        ("/?state=closed'--", 422),
        ("/?dataset=x", 422),
        ("/?page=1000000", 200),
        ("/?words=%27%3B%20DROP%20TABLE%20series%3B--&provider=%25", 200),
        ("/?words=%3Cscript%3Ealert(1)%3C/script%3E", 200),
        ("/?words=%00", 422),
        ("/series/0", 422),
        ("/series/999999", 400),
        ("/series/99999999999999999999", 422),
        ("/series/1%27", 422),
        ("/series/{bars}?before=yesterday", 422),
        ("/series/{bars}?before=0001-01-01T00:00:00%2B14:00", 400),
        ("/series/{bars}/candles.json?bars=100000", 422),
        ("/findings?before=-1", 422),
        ("/audit?before=0", 422),
        ("/audit?way=telephone", 422),
        ("/audit?actor=%00", 422),
        ("/audit?command=%27%20OR%201=1--%25_&actor=%3Cscript%3Ealert(1)%3C/script%3E", 200),
        ("/findings?before=9223372036854775807", 200),
        ("/findings?rule=%27%20OR%201=1--", 200),
        ("/findings?words=%3Cimg%20src=x%20onerror=alert(1)%3E", 200),
    ],
)
def test_what_a_query_may_hold_is_checked_and_never_run(client, stored, path, status):
    answer = client.get(path.format(bars=stored.bars))
    assert answer.status_code == status
    for never in ("Traceback", "<script>alert", "<img src=x", "psycopg2", "SELECT"):
        assert never not in answer.text


def test_pages_are_read_without_javascript(browser: Browser, served, stored):
    with browser.new_context(base_url=served.url, java_script_enabled=False) as visit:
        page = visit.new_page()
        page.goto("/")
        page.get_by_role("link", name="BTC-USDT 1m").click()
        assert page.get_by_role("table", name="Newest bars").locator("tbody tr").count() == 30
        page.get_by_role("link", name="all of them").click()
        expect(page.get_by_role("table", name="Kinds, most rows first")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_who_uses_assistive_technology(browser: Browser, served, stored, scheme):
    with browser.new_context(base_url=served.url, color_scheme=scheme) as visit:
        page = visit.new_page()
        for path in PAGES:
            page.goto(path.format(bars=stored.bars, shares=stored.shares))
            found = Axe().run(page)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"


def test_a_narrow_screen_scrolls_tables_and_not_the_page(browser: Browser, served, stored):
    with browser.new_context(base_url=served.url, viewport={"width": 390, "height": 800}) as visit:
        page = visit.new_page()
        for path in PAGES:
            page.goto(path.format(bars=stored.bars, shares=stored.shares))
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="SCREENSHOTS=docs/screenshots writes them")
def test_screenshots_for_the_docs(browser: Browser, served, stored):
    folder = Path(os.environ["SCREENSHOTS"])
    shots = {"home": ("/", "light"), "home_dark": ("/", "dark"), "series": ("/series/{bars}", "light")}
    for name, (path, scheme) in (shots | {"findings": ("/findings", "light")}).items():
        size = {"width": 1280, "height": 800}
        with browser.new_context(base_url=served.url, color_scheme=scheme, viewport=size) as visit:
            page = visit.new_page()
            page.goto(path.format(bars=stored.bars))
            page.wait_for_timeout(500)
            page.screenshot(path=folder / f"{name}.png")
