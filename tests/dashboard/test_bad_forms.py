"""What is typed into forms and addresses: refused with a reason, never a traceback, never markup that comes back."""

from __future__ import annotations

import pytest

from tests.dashboard.filled import EVIL


@pytest.mark.parametrize(
    ("field", "given", "why"),
    [
        ("schedule", "61 * * * *", "expected a period"),
        ("schedule", "* " * 400, "at most 200"),
        ("schedule", "0 0 31 2 *", "Bad day-of-month"),
        ("timezone", "Mars/Olympus", "expected a time zone"),
        ("kwargs", "{", "no JSON"),
        ("task", EVIL, "unknown task"),
        ("lane", "fast", "unknown lane"),
        ("priority", "9", "priority: "),
        ("priority", "high", "expected a number"),
        ("after", "quotes", "would wait for itself"),
        ("timeout_s", "1e9", "timeout_s: "),
    ],
)
def test_a_change_that_cannot_be_comes_back_with_why_and_what_was_typed(filled, writer, value, field, given, why):
    before = value("SELECT edits FROM schedule WHERE name = 'quotes'")
    answer = writer.post("/schedule/set/quotes", data={field: given})
    assert (answer.status_code, why in answer.text) == (400, True), answer.text
    assert "<img" not in answer.text
    assert value("SELECT edits FROM schedule WHERE name = 'quotes'") == before


#: path, and a form in which each field in turn holds something evil
FORMS = [
    ("/providers/kraken/hold", {"reason": "x", "for": "1h"}),
    ("/providers/kraken/limit", {"percent": "50", "reason": "x", "for": "1h"}),
    ("/providers/kraken/lift", {"everything": "", "sure": ""}),
    ("/providers/kraken/breaker", {"action": "open", "for": "1h"}),
    ("/providers/kraken/disable", {"sure": ""}),
    ("/queues/scale/live", {"children": "0"}),
    ("/queues/drain", {"worker": "two@farm", "sure": ""}),
    ("/queues/resume", {"worker": "two@farm"}),
    ("/dead/requeue", {"task": "t", "error": "e", "up_to": "1"}),
    ("/dead/discard", {"task": "t", "error": "e", "up_to": "1", "sure": ""}),
    ("/dead/999/discard", {"sure": "yes"}),
    ("/backfills/999/cancel", {"sure": "yes"}),
    ("/schedule/remove/gaps", {"sure": ""}),
    ("/schedule/reset/gaps", {"sure": ""}),
    *(
        (path, dict.fromkeys(names, ""))
        for path, names in (
            ("/backfills", ("provider", "dataset", "instruments", "interval", "start", "end", "mode")),
            ("/schedule", ("name", "schedule", "task", "kwargs", "lane", "offset", "window", "after", "catch_up")),
            ("/schedule/set/gaps", ("schedule", "task", "kwargs", "lane", "offset", "window", "after", "seen")),
        )
    ),
]
EVILS = (EVIL, "\x00", "{{ 7 * 7 }}", "A" * 5_000, "١٢", "-1", "1e400", "../../etc")


@pytest.mark.parametrize(("path", "form"), FORMS, ids=[path for path, _ in FORMS])
def test_nothing_that_is_typed_breaks_a_page_or_comes_back_as_markup(filled, writer, path, form):
    for field in form:
        for evil in EVILS:
            answer = writer.post(path, data=form | {field: evil})
            assert answer.status_code < 500, (field, evil, answer.text)
            assert "<img src=x" not in answer.text
            assert "Traceback" not in answer.text


def test_nothing_in_an_address_breaks_a_page(filled, client):
    for path in ("/providers/{}", "/schedule/entry/{}", "/dead/letters?task={}&error={}", "/backfills/{}", "/dead/{}"):
        for evil in ("%00", "%3Cimg%20src=x%3E", "9" * 40, "%27%20OR%201=1--", "a" * 3_000, "%ff"):
            answer = client.get(path.replace("{}", evil))
            assert answer.status_code in {200, 404, 405, 422}, (path, evil, answer.text)
            assert "<img" not in answer.text
