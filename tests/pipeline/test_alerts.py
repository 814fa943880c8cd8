"""Alerts reach a real receiver: each change once, whoever tells; a dead receiver costs nothing but time.

Deliberately not here: when a change of health counts (test_health_rules.py).
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import logging
import socketserver
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from ingest.pipeline import dead_letters, events
from ingest.pipeline.alerts import NOT_BEFORE, SILENT_AFTER, TRY_AGAIN, tell
from ingest.pipeline.events import Event
from ingest.pipeline.leader import Leadership

#: Before the hour at which yesterday is told of.
NIGHT = datetime.now(UTC).replace(hour=2, minute=0)
SECRET = "hook-secret-of-the-tests"
SICK = Event("kraken", "health", "HEALTHY", "CRITICAL", reason="31 of 100 requests failed")


class Receiver(HTTPServer):
    """Takes messages at /<secret>; refuses them while `is_ill`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got, self.is_ill = [], False

    @property
    def address(self):
        return f"json://ada:{SECRET}@127.0.0.1:{self.server_port}/{SECRET}"

    def lines(self):
        """Return the lines of the messages that came since this was asked last."""
        got, self.got = self.got, []
        return [one["message"].splitlines() for one in got]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.server.is_ill:
            self.server.got.append(body)
        self.send_response(503 if self.server.is_ill else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    found = Receiver()
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture
def receiver(server):
    server.got, server.is_ill = [], False
    return server


@pytest.fixture
def told(farm, receiver):
    """Return what tells at a moment, from a farm that leads and has told once, when nothing was new."""
    farm.context.settings = farm.context.settings.model_copy(
        update={"tickfarm_alert_urls": SecretStr(f"{receiver.address}, ")}
    )
    leadership = Leadership(farm.context.sessions.kw["bind"])
    assert leadership.held()
    assert tell(farm.context, NIGHT) is False
    yield lambda minutes=0: tell(farm.context, NIGHT + timedelta(minutes=minutes))
    leadership.release()


def happen(farm, *changes):
    with farm.context.sessions.begin() as session:
        events.write_events(session, changes)


def die(farm, task="tasks.fetch.binance", times=1):
    with farm.context.sessions.begin() as session:
        for _ in range(times):
            dead_letters.write_letter(session, dead_letters.Letter(task, ValueError("cut off"), {}))


def test_a_change_is_told_once_with_its_reason_and_how_bad_it_is(farm, receiver, told):
    happen(farm, SICK)
    assert told() is True
    [message] = receiver.got
    assert (message["title"], message["type"]) == ("tickfarm", "warning")
    assert message["message"] == "kraken is CRITICAL (was HEALTHY): 31 of 100 requests failed"
    assert [told(minutes) for minutes in (1, 2, 30)] == [False] * 3
    assert len(receiver.got) == 1
    happen(farm, Event("kraken", "health", "CRITICAL", "HEALTHY"))
    assert told(31) is True
    assert receiver.got[1]["type"] == "info"


def test_what_comes_within_a_minute_is_one_message_and_repeats_are_one_line(farm, receiver, told):
    happen(farm, SICK)
    assert told() is True
    flaps = [
        Event("yahoo", "breaker", "closed", "open", scope="0"),
        Event("yahoo", "breaker", "half", "closed", scope="0"),
    ]
    happen(farm, *flaps * 3, Event("yahoo", "breaker", "open", "half", scope="0"))
    die(farm, times=5)
    assert told(0.5) is False
    assert told(NOT_BEFORE.total_seconds() / 60) is True
    assert receiver.lines()[1:] == [
        [
            "yahoo breaker 0: open (was closed) (3 times)",
            "yahoo breaker 0: closed (was half) (3 times)",
            "5 dead letters of tasks.fetch.binance, ValueError: cut off",
        ]
    ]


def test_of_many_who_tell_at_the_same_time_one_does(farm, receiver, told):
    happen(farm, SICK)
    gate = threading.Barrier(4)

    def tell_too():
        gate.wait()
        told()

    threads = [threading.Thread(target=tell_too) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.got) == 1


def test_what_a_dead_receiver_missed_it_gets_when_it_is_back_and_no_line_says_where_it_is(farm, receiver, told, capsys):
    receiver.is_ill = True
    happen(farm, SICK)
    assert told() is False
    receiver.is_ill = False
    assert told(1) is False, "a receiver that is ill is not asked each minute"
    assert told(TRY_AGAIN.total_seconds() / 60) is True
    assert len(receiver.lines()) == 1
    written = capsys.readouterr()
    assert "alert_not_sent" in written.out + written.err
    assert SECRET not in written.out + written.err


def test_a_leader_that_is_missing_for_a_minute_is_told_and_that_it_is_back(farm, receiver, told):
    leadership = Leadership(farm.context.sessions.kw["bind"])
    assert not leadership.held(), "the fixture's leads"
    with farm.context.sessions.begin() as session:
        session.connection().exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    minute = SILENT_AFTER.total_seconds() / 60
    assert [told(at) for at in (1, 1 + minute / 2)] == [False, False]
    assert told(1 + minute) is True
    assert told(2 + minute) is False
    assert leadership.held()
    assert told(3 + minute) is True
    assert receiver.lines() == [["beat is silent: nobody leads, nothing is scheduled"], ["beat leads again"]]
    leadership.release()


def test_in_the_morning_yesterdays_coverage_is_told_once(farm, receiver, told):
    farm.change(
        "INSERT INTO series (provider, dataset, instrument, interval, followed)"
        " VALUES ('binance', 'bars', 'BTC-USDT', '1m', true)"
    )
    farm.change(
        "INSERT INTO ledger (series_id, day, expected, stored, final, job_id, updated_at)"
        " SELECT id, :day, 1440, 1296, 1296, 0, now() FROM series",
        day=NIGHT.date() - timedelta(days=1),
    )
    assert told(60) is False
    assert [told(60 * hour) for hour in (5, 6, 12)] == [True, False, False]
    yesterday = NIGHT.date() - timedelta(days=1)
    assert receiver.lines() == [
        [f"binance bars 1m: 90.00 % of {yesterday} is proven; 1 days of the last 30 are not whole"]
    ]


def test_nobody_is_told_and_nothing_is_read_without_addresses(farm, receiver):
    happen(farm, SICK)
    assert tell(farm.context, NIGHT) is False
    assert farm.value("SELECT count(*) FROM alert_marks") == 0


def test_an_address_that_is_none_fails_nothing(farm, receiver, told):
    urls = SecretStr(f"nonsense://{SECRET},{receiver.address}")
    farm.context.settings = farm.context.settings.model_copy(update={"tickfarm_alert_urls": urls})
    happen(farm, SICK)
    assert told() is True


class _Mailbox(socketserver.StreamRequestHandler):
    """Speaks as much SMTP as it takes to sign in and to hand over a mail."""

    def handle(self):
        self.say("220 mail.test")
        for line in iter(self.line, ""):
            word = line[:4].upper()
            if word == "EHLO":
                self.say("250-mail.test", "250 AUTH PLAIN LOGIN")
            elif word == "AUTH":
                self.server.signed_in.append(base64.b64decode(line.split()[2]).decode().split("\0")[1:])
                self.say("235 welcome")
            elif word == "DATA":
                self.say("354 go on")
                self.server.mails.append("\n".join(iter(self.line, ".")))
                self.say("250 taken")
            else:
                self.say("221 bye" if word == "QUIT" else "250 ok")

    def line(self):
        return self.rfile.readline().decode().rstrip("\r\n")

    def say(self, *lines):
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@pytest.fixture
def mailbox():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mailbox) as found:
        found.mails, found.signed_in = [], []
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_a_change_of_health_comes_by_mail_and_no_log_holds_the_password(farm, told, mailbox, capfd, caplog):
    port = mailbox.server_address[1]
    url = f"mailto://ada:{SECRET}@127.0.0.1:{port}?mode=insecure&from=farm@mail.test&to=ops@mail.test"
    farm.context.settings = farm.context.settings.model_copy(update={"tickfarm_alert_urls": SecretStr(url)})
    happen(farm, SICK)
    with caplog.at_level(logging.DEBUG):
        assert told() is True
    [mail] = mailbox.mails
    parsed = email.message_from_string(mail, policy=email.policy.default)
    assert parsed["subject"] == "tickfarm"
    assert "ops@mail.test" in parsed["to"]
    assert "kraken is CRITICAL (was HEALTHY): 31 of 100 requests failed" in parsed.get_body().get_content()
    assert mailbox.signed_in == [["ada", SECRET]]
    written = capfd.readouterr()
    logged = written.out + written.err + caplog.text
    assert "alert_sent" in logged
    assert SECRET not in logged
    assert base64.b64encode(f"\0ada\0{SECRET}".encode()).decode() not in logged
