"""The operator's pages in a real browser: what each says, and each of its buttons, with the row it leaves in the audit.

Deliberately not here: scaling, which needs workers (tests/tasks/test_workers_page.py), who may write (test_writes.py).
"""

from __future__ import annotations

import re
import shlex

import httpx
import pytest
from celery import Celery
from playwright.sync_api import expect
from sqlalchemy import text

from ingest.pipeline import workers
from ingest.pipeline.dead_letters import Letter, write_letter
from tasks.broker import FarmAMQP
from tests.dashboard.conftest import serving
from tests.dashboard.filled import EVIL
from tests.dashboard.looks import check_looks
from tests.tasks.farm import close_client
from tests.tickfarm_command import run


@pytest.fixture
def operator(filled, signed_in):
    """Return a page of somebody who may act."""
    return signed_in


@pytest.fixture
def acts(filled):
    """Return what reads the acts since the test began, oldest first: actor, way, act, subject."""
    with filled.context.sessions() as session:
        before = session.scalar(text("SELECT coalesce(max(id), 0) FROM audit"))

    def read():
        with filled.context.sessions() as session:
            query = text("SELECT actor, way, act, subject FROM audit WHERE id > :before ORDER BY id")
            return [tuple(row) for row in session.execute(query, {"before": before})]

    return read


def command_beside(page, button):
    """Return the command that stands beside a button."""
    said = page.locator("form.act", has=page.get_by_role("button", name=button, exact=True)).locator("code.same").first
    return said.inner_text().removeprefix("tickfarm ")


def press(page, button):
    page.get_by_role("button", name=button, exact=True).first.click()


def tickfarm(served, home, *words):
    """Run the command against the dashboard's own database."""
    config = served.context.settings
    urls = {"DATABASE_URL": config.database_url, "REDIS_URL": config.redis_url}
    return run(*words, TICKFARM_HOME=str(home), **{name: url.get_secret_value() for name, url in urls.items()})


PAGES = (
    "/providers",
    "/providers/binance",
    "/queues",
    "/backfills",
    "/backfills/plan?provider=binance&dataset=bars&instruments=BTC-USDT&interval=1d&start=2024-01-01&end=2024-03-01",
    "/dead",
    "/dead/letters?task=tasks.fetch.binance&error=ValueError",
    "/schedule",
    "/schedule/entry/gaps",
    "/schedule/new",
)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_without_a_fault_and_fits_a_telephone(operator, path):
    answer = operator.goto(path)
    assert answer.status == 200
    check_looks(operator, re.sub(r"\W+", "-", path.partition("?")[0].strip("/")))


@pytest.mark.parametrize("path", PAGES)
def test_who_has_not_signed_in_reads_every_page_and_sees_no_button(filled, client, path):
    said = client.get(path).text
    assert "<h1>" in said
    assert 'method="post" action="/sign-out"' not in said
    assert 'method="post"' not in said


def test_a_provider_is_held_and_lifted(operator, acts, value):
    operator.goto("/providers/kraken")
    form = operator.locator('form[action$="/hold"]')
    form.get_by_label("Why").fill("their maintenance")
    form.get_by_label("For").fill("2h")
    press(operator, "Hold")
    expect(operator.get_by_text("by hand: their maintenance").first).to_be_visible()
    assert value("SELECT until > now() + interval '119 min' FROM provider_holds WHERE provider = 'kraken'")
    press(operator, "Lift")
    assert value("SELECT count(*) FROM provider_holds") == 0
    said = [("ada", "dashboard", "hold kraken --for 7200s --reason 'their maintenance'", "kraken")]
    assert acts() == [*said, ("ada", "dashboard", "lift kraken", "kraken")]


def test_a_provider_is_limited_for_a_while_and_used_wholly_again(operator, acts, value):
    operator.goto("/providers/kraken")
    form = operator.locator('form[action$="/limit"]').first
    form.get_by_label("To").fill("40")
    form.get_by_label("Why").fill("they asked for less")
    form.get_by_label("For").fill("2h")
    press(operator, "Limit")
    expect(operator.get_by_text("limited to 40 %").first).to_be_visible()
    assert value("SELECT percent FROM provider_limits WHERE until > now() + interval '119 min'") == 40
    press(operator, "End limit")
    assert value("SELECT count(*) FROM provider_limits") == 0
    assert [act for _, _, act, _ in acts()] == [
        "limit kraken 40 --for 7200s --reason 'they asked for less'",
        "limit kraken 100",
    ]


def test_a_breaker_is_opened_probed_and_closed(operator, acts):
    operator.goto("/providers/kraken")
    press(operator, "Open")
    expect(operator.get_by_text("OPEN until").first).to_be_visible()
    press(operator, "Probe")
    press(operator, "Close")
    assert operator.get_by_text("OPEN until").count() == 0
    done = ["breaker open kraken --for 600s", "breaker probe kraken", "breaker close kraken"]
    assert [act for _, _, act, _ in acts()] == done


def test_a_provider_is_disabled_only_when_that_is_meant_and_enabled_again(operator, acts, value):
    operator.goto("/providers/kraken")
    press(operator, "Disable")
    assert acts() == []
    operator.get_by_role("link", name="No, leave it as it is").click()
    press(operator, "Disable")
    press(operator, "Disable kraken")
    assert value("SELECT reason FROM provider_holds WHERE provider = 'kraken'") == "by hand: disabled"
    press(operator, "Enable")
    assert value("SELECT count(*) FROM provider_holds") == 0
    assert [act for _, _, act, _ in acts()] == ["providers disable kraken", "providers enable kraken"]


def test_what_a_provider_asked_for_itself_is_lifted_only_when_that_is_meant(operator, acts, filled, value):
    with filled.context.sessions.begin() as session:
        session.execute(
            text("INSERT INTO provider_holds (provider, pool, kind, reason) VALUES ('kraken', '', 'throttled', '429')")
        )
    operator.goto("/providers/kraken")
    press(operator, "Lift all")
    assert value("SELECT count(*) FROM provider_holds") == 1
    press(operator, "Ask kraken all the same")
    assert value("SELECT count(*) FROM provider_holds") == 0
    assert acts() == [("ada", "dashboard", "lift kraken --all", "kraken")]


def test_the_command_beside_a_button_does_the_same_and_is_written_down_too(operator, acts, filled, home, value):
    operator.goto("/providers/kraken")
    words = shlex.split(command_beside(operator, "Disable"))
    assert tickfarm(filled, home, *words).returncode == 0
    assert value("SELECT reason FROM provider_holds WHERE provider = 'kraken'") == "by hand: disabled"
    operator.reload()
    assert tickfarm(filled, home, *shlex.split(command_beside(operator, "Enable"))).returncode == 0
    assert value("SELECT count(*) FROM provider_holds") == 0
    assert [(way, act) for _, way, act, _ in acts()] == [
        ("command", "providers disable kraken"),
        ("command", "providers enable kraken"),
    ]
    assert "ada" not in {actor for actor, *_ in acts()}


def test_lanes_say_what_waits_and_workers_who_they_are(filled, client):
    workers.announce(
        filled.context.redis, workers.Worker("one@farm", ("live.load", "live"), 2, 2, 1, 3, host="here", pid=77)
    )
    said = client.get("/queues").text
    assert 'href="http://127.0.0.1:5555/worker/one%40farm"' in said
    assert re.search(r"\b(9|1\d) min ago", said)
    assert ">nobody<" in said


def test_links_into_flower_lead_where_it_is_said_to_be(filled, config):
    behind = config.model_copy(update={"tickfarm_flower_url": "https://farm.example.com/flower/"})
    with serving(behind) as served, httpx.Client(base_url=served.url) as client:
        said = client.get("/queues").text
    assert 'href="https://farm.example.com/flower/workers"' in said
    assert ":5555" not in said


def test_a_worker_is_ended_only_when_it_is_drained_and_that_is_meant(operator, filled, writer, acts):
    def says(held):  # it is forgotten after six silent seconds
        worker = workers.Worker("one@farm", ("live.load", "live"), 2, 2, held=held, draining=True)
        workers.announce(filled.context.redis, worker)
        return worker.name

    refused = writer.post("/queues/stop", data={"worker": says(held=3), "sure": "yes"})
    assert (refused.status_code, "not drained" in refused.text) == (409, True)
    assert 'action="/queues/stop"' not in writer.get("/queues").text
    asked = writer.post("/queues/stop", data={"worker": says(held=0)})
    assert asked.status_code == 200
    assert '<button class="danger">Stop one@farm</button>' in asked.text
    says(held=0)
    operator.goto("/queues")
    assert command_beside(operator, "Stop") == "workers drain one@farm --stop"
    check_looks(operator, "queues-drained")
    assert acts() == []


def test_messages_that_wait_are_counted_where_celery_puts_them(filled, client):
    url = filled.context.settings.redis_url.get_secret_value()
    app = Celery("tests", amqp=FarmAMQP, set_as_current=False)
    app.config_from_object("celeryconfig")
    app.conf.update(broker_url=url, result_backend=url)
    try:
        for queue in ("standard", "standard", "standard.load"):
            app.send_task("tasks.nothing", queue=queue)
    finally:
        close_client(app)
    assert '<th scope="row">standard</th><td class="number">3</td>' in client.get("/queues").text


def test_a_backfill_is_planned_then_ordered_then_cancelled(operator, acts, value):
    operator.goto("/backfills")
    for label, choice in (("Provider", "binance"), ("Dataset", "bars"), ("Interval", "1d")):
        operator.get_by_label(label).select_option(choice)
    operator.get_by_label("Instruments").fill("BTC-USDT, ETH-USDT")
    operator.get_by_label("From").fill("2024-01-01")
    operator.get_by_label("To").fill("2024-03-01")
    press(operator, "Plan")
    expect(operator.get_by_text("120 missing")).to_be_visible()
    assert value("SELECT count(*) FROM backfills") == 0
    press(operator, "Order it")
    number = value("SELECT id FROM backfills WHERE ordered_by = 'ada'")
    assert operator.url.endswith(f"/backfills/{number}")
    check_looks(operator, "backfill")
    press(operator, "Cancel")
    expect(operator.get_by_text(re.compile(r"Up to \d+ jobs"))).to_be_visible()
    press(operator, f"Cancel backfill {number}")
    assert value("SELECT cancelled_at IS NOT NULL FROM backfills WHERE id = :number", number=number)
    words = "backfill run binance bars BTC-USDT ETH-USDT --start 2024-01-01T00:00 --end 2024-03-01T00:00 --interval 1d"
    subject = f"backfill {number}"
    cancelled = ("ada", "dashboard", f"backfill cancel {number}", subject)
    assert acts() == [("ada", "dashboard", words, subject), cancelled]
    operator.goto("/backfills")
    expect(operator.get_by_text("cancelled").first).to_be_visible()
    check_looks(operator, "backfills-with-one")


def test_a_backfill_that_cannot_be_comes_back_with_why(filled, client):
    for given, why in (
        ({"provider": "binance", "dataset": "bars", "instruments": ""}, "name an instrument"),
        ({"provider": "nobody", "dataset": "bars", "instruments": "A-B", "start": "2024-01-01"}, "unknown provider"),
        ({"provider": "binance", "dataset": "bars", "instruments": "A-B", "start": "soon"}, "not a time"),
        ({"provider": "binance", "dataset": EVIL, "instruments": "A-B", "start": "2024-01-01"}, "unknown dataset"),
    ):
        answer = client.get("/backfills/plan", params=given)
        assert (answer.status_code, why in answer.text) == (400, True)
        assert "<img" not in answer.text


def test_letters_are_requeued_and_discarded_by_kind_and_what_came_later_stays(operator, acts, filled, value):
    operator.goto("/dead")
    with filled.context.sessions.begin() as session:
        late = Letter("tasks.fetch.binance", ValueError("later"), {"dataset": "quotes"}, task_id="late")
        write_letter(session, late)
    press(operator, "Requeue 3")
    assert value("SELECT count(*) FROM dead_letters WHERE state = 'requeued'") == 3
    assert value("SELECT count(*) FROM jobs WHERE key LIKE 'letter:%' AND lane = 'live'") == 3
    assert value("SELECT state FROM dead_letters WHERE task_id = 'late'") == "open"
    row = operator.get_by_role("row").filter(has_text="tasks.fetch.kraken")
    row.get_by_role("button", name="Discard").click()
    expect(operator.get_by_text("1 letters of tasks.fetch.kraken (TypeError) are closed for good")).to_be_visible()
    assert value("SELECT state FROM dead_letters WHERE task_id = 'odd'") == "open"
    press(operator, "Discard 1 letters")
    assert value("SELECT state FROM dead_letters WHERE task_id = 'odd'") == "discarded"
    requeued, discarded = (act for _, _, act, _ in acts())
    assert re.fullmatch(r"dead requeue --task tasks.fetch.binance --error ValueError --up-to \d+", requeued)
    assert re.fullmatch(r"dead discard --task tasks.fetch.kraken --error TypeError --up-to \d+ --yes", discarded)


def test_one_letter_is_requeued_and_another_discarded_and_then_the_page_is_green(operator, filled, acts, home, value):
    with filled.context.sessions.begin() as session:
        session.execute(text("UPDATE dead_letters SET state = 'discarded'"))
        for name in "abc":
            write_letter(session, Letter("tasks.fetch.kraken", KeyError(name), {"dataset": "quotes"}, task_id=name))
    address = "/dead/letters?task=tasks.fetch.kraken&error=KeyError"
    operator.goto(address)
    words = shlex.split(command_beside(operator, "Requeue"))  # the newest one's
    assert tickfarm(filled, home, *words).returncode == 0
    assert value("SELECT state FROM dead_letters WHERE task_id = 'c'") == "requeued"
    operator.goto(address)
    press(operator, "Requeue")
    assert value("SELECT state FROM dead_letters WHERE task_id = 'b'") == "requeued"
    operator.goto(address)
    press(operator, "Discard")
    press(operator, "Discard 1 letter")
    assert value("SELECT state FROM dead_letters WHERE task_id = 'a'") == "discarded"
    expect(operator.locator(".notice.good")).to_be_visible()
    check_looks(operator, "dead-none")
    assert [(way, act.split()[:2]) for _, way, act, _ in acts()] == [
        ("command", ["dead", "requeue"]),
        ("dashboard", ["dead", "requeue"]),
        ("dashboard", ["dead", "discard"]),
    ]


def test_a_kind_is_discarded_by_the_command_only_when_that_is_meant(filled, home, value, acts):
    with filled.context.sessions.begin() as session:
        for name in "xyz":
            write_letter(session, Letter("tasks.fetch.iex", OSError(name), {}, task_id=name))
    words = ("dead", "discard", "--task", "tasks.fetch.iex", "--error", "OSError")
    assert tickfarm(filled, home, *words).returncode == 1
    assert value("SELECT count(*) FROM dead_letters WHERE state = 'open' AND task = 'tasks.fetch.iex'") == 3
    done = tickfarm(filled, home, *words, "--yes")
    assert (done.returncode, done.stdout) == (0, "3 letters are discarded\n")
    assert [way for _, way, *_ in acts()] == ["command"]


def test_an_entry_says_whose_it_is_and_when_it_runs_in_both_zones(operator):
    operator.goto("/schedule/entry/gaps")
    said = operator.locator("main").inner_text()
    assert "beat_schedule.py, as it stands there" in said
    assert "06:15" in said
    assert said.count("America/New_York") >= 3


def test_an_entry_is_changed_paused_resumed_run_and_reset(operator, acts, value):
    operator.goto("/schedule/entry/gaps")
    operator.get_by_label("Cadence").fill("30 7 * * *")
    operator.get_by_label("Priority").select_option("1")
    press(operator, "Change")
    assert value("SELECT edits FROM schedule WHERE name = 'gaps'") == {"schedule": "30 7 * * *", "priority": 1}
    expect(operator.get_by_text("edited by hand: priority, schedule")).to_be_visible()
    expect(operator.get_by_text("schedule: 15 6 * * 1-5 → 30 7 * * *")).to_be_visible()
    press(operator, "Pause")
    expect(operator.get_by_text("it does not run")).to_be_visible()
    press(operator, "Resume")
    press(operator, "Run now")
    assert value("SELECT by_hand FROM schedule_runs WHERE entry = 'gaps'")
    press(operator, "Reset")
    expect(operator.get_by_text("is forgotten: ")).to_be_visible()
    press(operator, "Reset gaps")
    assert value("SELECT edits FROM schedule WHERE name = 'gaps'") == {}
    assert acts() == [
        ("ada", "dashboard", act, "gaps")
        for act in (
            "schedule set gaps --cron '30 7 * * *' --priority 1",
            "schedule pause gaps",
            "schedule resume gaps",
            "schedule run gaps",
            "schedule reset gaps",
        )
    ]


def test_an_entry_is_added_and_removed_and_the_commands_do_the_same(operator, acts, filled, home, value):
    operator.goto("/schedule/new")
    operator.get_by_label("Name").fill("mine")
    operator.get_by_label("Cadence").fill("5m")
    operator.get_by_label("Task").fill("tasks.gaps")
    operator.get_by_label("Lane").select_option("maintenance")
    press(operator, "Add")
    fields = value("SELECT edits FROM schedule WHERE name = 'mine'")
    assert fields == {"task": "tasks.gaps", "schedule": "5m", "lane": "maintenance"}
    [(*_, added, _)] = acts()
    press(operator, "Remove")
    expect(operator.get_by_text("mine is deleted with its history")).to_be_visible()
    press(operator, "Remove mine")
    assert operator.url.endswith("/schedule")
    assert value("SELECT count(*) FROM schedule WHERE name = 'mine'") == 0
    assert tickfarm(filled, home, *shlex.split(added)).returncode == 0
    assert value("SELECT edits FROM schedule WHERE name = 'mine'") == fields
    assert tickfarm(filled, home, "schedule", "remove", "mine").returncode == 0
    assert [(way, act) for _, way, act, _ in acts()] == [
        ("dashboard", added),
        ("dashboard", "schedule remove mine"),
        ("command", added),
        ("command", "schedule remove mine"),
    ]


def test_two_who_change_an_entry_do_not_overwrite_each_other(operator, filled, home, value):
    operator.goto("/schedule/entry/quotes")
    assert tickfarm(filled, home, "schedule", "set", "quotes", "--priority", "2").returncode == 0
    operator.get_by_label("Priority").select_option("5")
    with operator.expect_response("**/schedule/set/quotes") as answer:
        press(operator, "Change")
    assert answer.value.status == 409
    assert operator.locator(".notice.bad").inner_text().endswith("look again, then change it")
    assert value("SELECT edits->>'priority' FROM schedule WHERE name = 'quotes'") == "2"
