"""Telemetry: no registered secret leaves the process, in whatever it is wrapped."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from ingest import telemetry
from ingest.telemetry import redact, register_secret, setup_logs

SECRET = 'k3y-"with"-\\odd/chars+é'
secrets = st.text(min_size=6, max_size=20)


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch):
    """Give each test a set of secrets of its own, and the logs back as they were."""
    monkeypatch.setattr(telemetry, "_secrets", set())
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


STYLES = pytest.mark.parametrize("style", ["json", "text"])


def fails():
    raise ValueError(f"refused: {SECRET}")


def log_it(how):
    log = structlog.get_logger("a.module")
    {
        "field": lambda: log.info("sent", url=f"https://x/?key={SECRET}"),
        "event": lambda: log.warning(f"sent {SECRET}"),
        "nested": lambda: log.info("sent", request={"headers": [("x-api-token", SECRET)]}),
        "name": lambda: log.info("sent", **{f"header {SECRET}": 1}),
        "bytes": lambda: log.info("sent", body=SECRET.encode("ascii", "ignore")),
        "encoded": lambda: log.info("sent", url=f"https://x/?key={quote(SECRET, safe='')}"),
        "json": lambda: log.info("sent", body=json.dumps({"key": SECRET})),
        "standard library": lambda: logging.getLogger("urllib3").warning("GET /?key=%s", SECRET),
        "bound": lambda: log.bind(key=SECRET).info("sent"),
        "context": lambda: structlog.contextvars.bind_contextvars(key=SECRET) and log.info("sent"),
    }[how]()


WAYS = ("field", "event", "nested", "name", "encoded", "json", "standard library", "bound", "context")


@STYLES
@pytest.mark.parametrize("how", WAYS)
def test_a_secret_is_not_in_any_line_whatever_it_came_in(capsys, style, how):
    setup_logs(style)
    register_secret(SECRET)
    log_it(how)
    structlog.contextvars.clear_contextvars()
    written = capsys.readouterr().err
    assert "***" in written
    assert "k3y" not in written
    assert "odd" not in written


@STYLES
@pytest.mark.parametrize("standard", [True, False])
def test_a_secret_in_an_error_is_not_in_its_traceback(capsys, style, standard):
    setup_logs(style)
    register_secret(SECRET)
    try:
        fails()
    except ValueError:
        (logging.getLogger("x") if standard else structlog.get_logger()).exception("failed")
    written = capsys.readouterr().err
    assert "ValueError" in written
    assert "odd" not in written


def test_a_line_is_json_with_time_level_event_and_fields(capsys):
    setup_logs("json")
    structlog.get_logger().warning("payload_gone", job_id=7, at=None)
    logging.getLogger("other").info("plain %d", 3)
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["level"], first["job_id"], first["at"]) == ("payload_gone", "warning", 7, None)
    assert (second["event"], second["level"]) == ("plain 3", "info")
    assert first["timestamp"].endswith("Z")


@given(secrets, st.text(max_size=30), st.text(max_size=30))
def test_text_around_a_secret_stays(secret, before, after):
    telemetry._secrets.clear()
    text = f"{before}\n{after}"
    unchanged = redact(text)
    register_secret(secret)
    assert unchanged == text
    assert secret not in redact(f"{before}{secret}{after}").replace("***", "\0")


@given(secrets, st.text(min_size=1, max_size=5).filter(str.strip))
def test_of_a_secret_that_begins_another_one_nothing_is_left(secret, rest):
    telemetry._secrets.clear()
    register_secret(secret)
    register_secret(secret + rest)
    assert redact(f"<{secret}{rest}>") == "<***>"


@pytest.mark.parametrize("word", ["", "key", "12345"])
def test_what_is_too_short_to_be_a_secret_redacts_no_ordinary_word(word):
    register_secret(word)
    assert redact("the key is 12345 long") == "the key is 12345 long"
