"""Fault rules: one armed fault, which requests meet it, and how a wish in JSON becomes one.

Deliberately not here: what a fault does to an answer (`faults.py`, `body_faults.py`, `row_faults.py`).
Invariant: a rule that exists can act; a wish that can't is refused with what is expected.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

from sandbox.body_faults import BODY_FAULTS
from sandbox.contract import Banning, Dialect
from sandbox.row_faults import ROW_FAULTS
from sandbox.secrets_mask import mask_secrets

# What becomes of a complete answer on its way: `cut` closes early, `hang` never answers, `reset` sends RST at once,
# `reset_midway` in the middle of the body.
Manner = Literal["whole", "cut", "slow", "hang", "drip", "endless", "reset", "reset_midway"]
MANNERS = tuple(manner for manner in get_args(Manner) if manner != "whole")
REPEATED_PAGE, BAN, CLOCK_SKEW = "repeated_page", "ban", "clock_skew"
FAULT_NAMES = (*BODY_FAULTS, *MANNERS, *ROW_FAULTS, REPEATED_PAGE, BAN, CLOCK_SKEW)

# Binance's own shortest ban is 2 minutes.
FIRST_BAN_S = 120.0
# What was on its way on other connections when a client was told to wait is not disobedience. On a connection that
# brought the refusal it is, at once: nobody sends a request there before the last one's answer is read.
IN_FLIGHT_S = 0.25
_RULE_FIELDS = frozenset({"provider", "path", "match", "fault", "times", "args"})


class BadRuleError(Exception):
    """A fault that can't be armed; the message says what is expected."""


@dataclass(slots=True)
class FaultRule:
    """One armed fault; `times` None means until it is cleared.

    A rule that told a client to wait remembers until when, and counts the requests to its provider that came before.
    """

    number: int
    provider: str
    fault: str
    path: str = ""
    match: str = ""
    times: int | None = 1
    arguments: Mapping[str, object] = field(default_factory=dict)
    fired: int = 0
    held_from_s: float = 0.0
    held_until_s: float = 0.0
    told: set[str] = field(default_factory=set)
    sent_while_held: int = 0
    #: `repeated_page`: the page that comes again
    kept_body: bytes | None = None

    def meets(self, provider: str, path: str, query_text: str) -> bool:
        spent = self.times is not None and self.fired >= self.times
        return not spent and provider == self.provider and path.startswith(self.path) and self.match in query_text

    def number_of(self, name: str, default: float) -> float:
        value = self.arguments.get(name, default)
        return float(value) if isinstance(value, int | float) else default

    def hold(self, now_s: float, until_s: float, *, connection: str) -> None:
        """Remember that a client was told to wait; told again, it has known since the first time."""
        if now_s >= self.held_until_s:
            self.held_from_s = now_s + self.number_of("in_flight_s", IN_FLIGHT_S)
            self.told.clear()
        self.told.add(connection)
        self.held_until_s = max(self.held_until_s, until_s)

    def note_arrival(self, provider: str, now_s: float, *, connection: str) -> None:
        """Count a request that came although its sender had been told to wait."""
        is_held = provider == self.provider and now_s < self.held_until_s
        if is_held and (now_s >= self.held_from_s or connection in self.told):
            self.sent_while_held += 1

    def shown(self) -> dict[str, object]:
        held = datetime.fromtimestamp(self.held_until_s, UTC).isoformat() if self.held_until_s else None
        return {
            "id": self.number,
            "provider": self.provider,
            "path": self.path,
            "match": mask_secrets(self.match),
            "fault": self.fault,
            "times": self.times,
            "args": dict(self.arguments),
            "fired": self.fired,
            "held_until": held,
            "sent_while_held": self.sent_while_held,
        }


def read_rule(wish: object, providers: Mapping[str, Dialect], *, number: int) -> FaultRule:
    """Return the rule of a wish in its JSON form. Raises BadRuleError."""
    if not isinstance(wish, dict) or not _RULE_FIELDS.issuperset(wish):
        msg = f"expected a JSON object with the fields {sorted(_RULE_FIELDS)}"
        raise BadRuleError(msg)
    provider, fault, times = wish.get("provider"), wish.get("fault"), wish.get("times", 1)
    if not isinstance(provider, str) or provider not in providers:
        msg = f"provider must be one of {sorted(providers)}"
        raise BadRuleError(msg)
    if not isinstance(fault, str) or fault not in FAULT_NAMES:
        msg = f"fault must be one of {list(FAULT_NAMES)}"
        raise BadRuleError(msg)
    if fault == BAN and not isinstance(providers[provider], Banning):
        msg = f"{provider} bans nobody; providers that do: {sorted(n for n, d in providers.items() if _bans(d))}"
        raise BadRuleError(msg)
    if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
        msg = "times must be a whole number above 0, or null for ever"
        raise BadRuleError(msg)
    path, match, arguments = wish.get("path") or "", wish.get("match") or "", wish.get("args") or {}
    if not isinstance(path, str) or not isinstance(match, str) or not isinstance(arguments, dict):
        msg = "path and match must be strings, args an object"
        raise BadRuleError(msg)
    _check_arguments(arguments)
    return FaultRule(number, provider, fault, path, match, times, arguments)


def _bans(dialect: Dialect) -> bool:
    return isinstance(dialect, Banning)


def _check_arguments(arguments: Mapping[str, object]) -> None:
    status = arguments.get("status", 500)
    if not isinstance(status, int) or not 200 <= status <= 599:
        msg = "args.status must be an HTTP status from 200 to 599"
        raise BadRuleError(msg)
    for name in ("retry_after", "content_type", "location"):  # they become headers
        if len(str(arguments.get(name, "")).splitlines()) > 1:
            msg = f"args.{name} must be one line"
            raise BadRuleError(msg)
