"""Alerts: what changed since people were told last goes out by Apprise, once for the whole farm.

Told are changes of health, breakers and holds, new dead letters, a leader that is silent or back, and each morning
yesterday's coverage. Deliberately not here: when a change of health counts (health_watch), Prometheus' rules
(deploy/prometheus). Invariants: whoever tells holds a lock and moves the marks only once the message is out, so nothing
is told twice by two processes or lost by a dead receiver; telling never fails the work beside it; and no line says
where it goes to: the addresses hold secrets.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from ingest.pipeline.context import Context
from ingest.pipeline.health_figures import leadership
from ingest.pipeline.scraped import coverage_by_kind
from ingest.telemetry import redact, register_secret
from models import AlertMark, DeadLetter, ProviderEvent

#: What changes within a minute of a message waits for the next one.
NOT_BEFORE: Final = timedelta(minutes=1)
#: Beat restarts within seconds, and a stand-by takes over at once.
SILENT_AFTER: Final = timedelta(minutes=1)
#: A receiver that is away is not asked more often; what is older than a day when it comes back is told no more.
TRY_AGAIN: Final = timedelta(minutes=5)
_FORGET_AFTER: Final = timedelta(days=1)
#: Of yesterday, told from this hour (UTC) on: by then the check of gaps has asked again a few times.
MORNING_HOUR: Final = 6
_MOST_LINES: Final = 40
#: A breaker that is probed in vain is open as before: nobody need be told each minute.
_PROBED: Final = "half"
_BAD: Final = ("DEGRADED", "CRITICAL", "OFFLINE", "open", "held")
#: The farm's number for "I tell".
_LOCK: Final = 7_461_009

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class News:
    """What is to be told, and how far each topic is told with it. `is_bad`: something got worse."""

    lines: list[str] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    is_bad: bool = False

    def add(self, line: str, *, is_bad: bool) -> None:
        """Add a line."""
        self.lines.append(line)
        self.is_bad |= is_bad


def tell(context: Context, now: datetime) -> bool:
    """Tell what changed, if anybody is to be told; say whether a message went out. Never raises what may go wrong.

    Some quick queries; without addresses not even those. At most a message a minute: what comes meanwhile is in the
    next one, each change as one line however often it came.
    """
    addresses = _addresses(context)
    if not addresses:
        return False
    try:
        with context.sessions.begin() as session:
            if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
                return False
            return _tell(session, addresses, now)
    except SQLAlchemyError as error:
        log.info("alerts_wait", error=redact(str(error).partition("\n")[0]))
        return False


def _tell(session: Session, addresses: Sequence[str], now: datetime) -> bool:
    marks = {mark.topic: mark for mark in session.scalars(select(AlertMark))}
    waits = marks.get("waits")
    if waits is not None and now < datetime.fromisoformat(waits.mark):
        return False
    news = News()
    for gather in (_leader, _events, _letters, _yesterday):
        gather(session, marks, news, now)
    went_out = bool(news.lines) and send(addresses, news)
    if news.lines and not went_out:
        log.warning("alert_not_sent", lines=len(news.lines), retry_in_s=TRY_AGAIN.total_seconds())
        news.marks = {"waits": (now + TRY_AGAIN).isoformat()}
    elif went_out:
        log.info("alert_sent", lines=len(news.lines))
        news.marks["waits"] = (now + NOT_BEFORE).isoformat()
    for topic, mark in news.marks.items():
        session.merge(AlertMark(topic=topic, mark=mark, at=now))
    return went_out


def send(addresses: Sequence[str], news: News) -> bool:
    """Send a message to all addresses; say whether one of them took it."""
    import apprise  # noqa: PLC0415 - a third of a second and 20 MB, for those who want to be told

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it names addresses, and what they answered
    sender = apprise.Apprise()
    for address in addresses:
        if not sender.add(address):
            log.warning("alert_address_refused", scheme=address.partition(":")[0])
    lines = news.lines[:_MOST_LINES]
    if len(news.lines) > len(lines):
        lines.append(f".. and {len(news.lines) - len(lines)} more")
    kind = apprise.NotifyType.WARNING if news.is_bad else apprise.NotifyType.INFO
    body = redact("\n".join(lines))
    try:
        took = [bool(one.notify(body=body, title="tickfarm", notify_type=kind)) for one in sender]
        return any(took)
    except Exception as error:  # noqa: BLE001 - a plug-in's bug must not fail who tells; its text may quote an address
        log.warning("alert_failed", error=type(error).__name__)
        return False


def _addresses(context: Context) -> list[str]:
    """Return where to tell, each of its secrets registered."""
    secret = context.settings.tickfarm_alert_urls
    found = [] if secret is None else [one.strip() for one in secret.get_secret_value().split(",") if one.strip()]
    for address in found:
        register_secret(address)
        parts = urlsplit(address)
        for part in (parts.username, parts.password, *parts.path.split("/"), parts.query):
            register_secret(unquote(part or ""))
    return found


def _leader(session: Session, marks: dict[str, AlertMark], news: News, now: datetime) -> None:
    """Tell of a leader that is missing for a minute, and of one that is back."""
    leads, mark = leadership(session)[0], marks.get("leader")
    known = "there" if mark is None else mark.mark
    match known:
        case "there" if not leads:
            news.marks["leader"] = "missing"
        case "missing" if leads:
            news.marks["leader"] = "there"
        case "missing" if mark is not None and now - mark.at >= SILENT_AFTER:
            news.marks["leader"] = "silent"
            news.add("beat is silent: nobody leads, nothing is scheduled", is_bad=True)
        case "silent" if leads:
            news.marks["leader"] = "there"
            news.add("beat leads again", is_bad=False)


def _from(
    session: Session, marks: dict[str, AlertMark], news: News, topic: str, newest: Callable[[], int | None]
) -> int | None:
    """Return the number after which rows of a topic are new; None where there are none, the first time too."""
    last = newest() or 0
    told = int(marks[topic].mark) if topic in marks else last
    if topic not in marks or last != told:
        news.marks[topic] = str(last)
    return told if last > told else None


def _events(session: Session, marks: dict[str, AlertMark], news: News, now: datetime) -> None:
    told = _from(session, marks, news, "events", lambda: session.scalar(select(func.max(ProviderEvent.id))))
    if told is None:
        return
    fresh = ProviderEvent.at > now - _FORGET_AFTER
    counts: Counter[tuple[str, bool]] = Counter()
    query = select(ProviderEvent).where(ProviderEvent.id > told, fresh).order_by(ProviderEvent.id)
    for event in session.scalars(query):
        if event.after == _PROBED or (event.before, event.after) == (_PROBED, "open"):
            continue
        what = {"health": "is", "breaker": f"breaker {event.scope}:", "hold": "hold:", "limit": "limit:"}[event.kind]
        until = "" if event.until is None else f" until {event.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        line = f"{event.provider} {what} {event.after} (was {event.before}){until}"
        counts[f"{line}: {event.reason}" if event.reason else line, event.after in _BAD] += 1
    for (line, is_bad), times in counts.items():
        news.add(line if times == 1 else f"{line} ({times} times)", is_bad=is_bad)


def _letters(session: Session, marks: dict[str, AlertMark], news: News, now: datetime) -> None:
    told = _from(session, marks, news, "letters", lambda: session.scalar(select(func.max(DeadLetter.id))))
    if told is None:
        return
    fresh = DeadLetter.id > told, DeadLetter.at > now - _FORGET_AFTER
    grouped = select(DeadLetter.task, DeadLetter.error_class, func.count(), func.min(DeadLetter.error)).where(*fresh)
    for task, kind, count, error in session.execute(grouped.group_by(DeadLetter.task, DeadLetter.error_class)):
        news.add(f"{count} dead letters of {task}, {kind}: {str(error)[:200]}", is_bad=True)


def _yesterday(session: Session, marks: dict[str, AlertMark], news: News, now: datetime) -> None:
    """Tell once a day how much of yesterday is proven; nothing where all of it is."""
    today = now.astimezone(UTC)
    yesterday = (today.date() - timedelta(days=1)).isoformat()
    mark = marks.get("coverage")
    if today.hour < MORNING_HOUR or (mark is not None and mark.mark == yesterday):
        return
    news.marks["coverage"] = yesterday
    for one in coverage_by_kind(session, now):
        if one.proven_yesterday < one.expected_yesterday:
            share = min(100 * one.proven_yesterday / one.expected_yesterday, 99.99)
            name = " ".join(part for part in one.kind if part)
            gaps = f"; {one.gap_days} days of the last 30 are not whole" if one.gap_days else ""
            news.add(f"{name}: {share:.2f} % of {yesterday} is proven{gaps}", is_bad=True)
