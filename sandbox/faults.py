"""Faults: which are armed, which request meets one, and what it does to the answer.

Deliberately not here: how the bytes are held back or cut on the wire (`delivery.py`); row faults (`row_faults.py`).
Invariant: a fault is counted as fired exactly when it changed what the client gets.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from sandbox.contract import Answer, Dialect, Request
from sandbox.row_faults import ROW_FAULTS, spoil_page
from sandbox.secrets_mask import mask_secrets

# What becomes of a complete answer on its way: `cut` closes early, `hang` never answers, `reset` sends RST.
Manner = Literal["whole", "cut", "slow", "hang", "drip", "endless", "reset"]
_MANNERS = tuple(manner for manner in get_args(Manner) if manner != "whole")
_BODY_FAULTS = ("status", "error_in_200", "html", "truncated", "not_json", "empty")
FAULT_NAMES = (*_BODY_FAULTS, *_MANNERS, *ROW_FAULTS)

_HTML_PAGE = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head>"
    b"<body><h1>Checking your browser before you proceed.</h1></body></html>"
)
_RULE_FIELDS = frozenset({"provider", "path", "match", "fault", "times", "args"})


class BadRuleError(Exception):
    """A fault that can't be armed; the message says what is expected."""


@dataclass(slots=True)
class FaultRule:
    """One armed fault; `times` None means until it is cleared."""

    number: int
    provider: str
    fault: str
    path: str = ""
    match: str = ""
    times: int | None = 1
    arguments: Mapping[str, object] = field(default_factory=dict)
    fired: int = 0

    def meets(self, provider: str, path: str, query_text: str) -> bool:
        spent = self.times is not None and self.fired >= self.times
        return not spent and provider == self.provider and path.startswith(self.path) and self.match in query_text

    def shown(self) -> dict[str, object]:
        return {
            "id": self.number,
            "provider": self.provider,
            "path": self.path,
            "match": mask_secrets(self.match),
            "fault": self.fault,
            "times": self.times,
            "args": dict(self.arguments),
            "fired": self.fired,
        }


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer and the manner in which it travels; `fault` is the name of what was done to it."""

    answer: Answer
    manner: Manner = "whole"
    fault: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        value = self.arguments.get(name, default)
        return float(value) if isinstance(value, int | float) else default


class Faults:
    """The armed rules, in the order of arming; the first that meets a request and can act wins."""

    def __init__(self) -> None:
        self._rules: list[FaultRule] = []
        self._numbers = itertools.count(1)

    def arm(self, wish: object, providers: Mapping[str, Dialect]) -> FaultRule:
        """Add a rule from its JSON form. Raises BadRuleError."""
        rule = _read_rule(wish, providers, number=next(self._numbers))
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        self._rules.clear()

    def shown(self) -> list[dict[str, object]]:
        return [rule.shown() for rule in self._rules]

    def deliver(self, answer: Answer, request: Request, *, provider: str, query: str, dialect: Dialect) -> Delivery:
        """Return the answer as it is, or as the first armed fault that applies leaves it."""
        for rule in self._rules:
            if rule.meets(provider, request.path, query):
                delivery = _apply(rule, answer, dialect=dialect, now_s=request.now_s)
                if delivery is not None:
                    rule.fired += 1
                    return delivery
        return Delivery(answer)


def _apply(rule: FaultRule, answer: Answer, *, dialect: Dialect, now_s: float) -> Delivery | None:
    """Return what the rule makes of the answer; None where it finds nothing to act on."""
    for manner in get_args(Manner):
        if rule.fault == manner:
            return Delivery(answer, manner, rule.fault, rule.arguments)
    if rule.fault in ROW_FAULTS:
        page = dialect.page(answer.body) if answer.status == 200 else None
        if page is None or not spoil_page(rule.fault, page, arguments=rule.arguments, now_s=now_s):
            return None
        spoilt: Answer | None = replace(answer, body=page.text().encode())
    else:
        spoilt = _spoil_body(rule, answer, dialect)
    return Delivery(spoilt, fault=rule.fault) if spoilt is not None else None


def _spoil_body(rule: FaultRule, answer: Answer, dialect: Dialect) -> Answer | None:
    arguments = rule.arguments
    body = str(arguments["body"]).encode() if "body" in arguments else None
    match rule.fault:
        case "status":
            headers = answer.headers
            if "retry_after" in arguments:
                kept = tuple(header for header in headers if header[0].lower() != "retry-after")
                headers = (*kept, ("Retry-After", str(arguments["retry_after"])))
            status = int(str(arguments.get("status", 500)))
            spoilt = dialect.error_body if body is None else body
            # 204 and 304 have no body by definition; one would be read as the next answer's beginning.
            return replace(answer, status=status, body=b"" if status in (204, 304) else spoilt, headers=headers)
        case "error_in_200":
            return replace(answer, status=200, body=dialect.error_body if body is None else body)
        case "html":
            page = _HTML_PAGE if body is None else body
            return replace(answer, status=200, body=page, content_type="text/html; charset=utf-8")
        case "truncated":
            # A body of one byte can't be cut and stay a body.
            return replace(answer, body=answer.body[: len(answer.body) // 2]) if len(answer.body) > 1 else None
        case "not_json":
            return replace(answer, status=200, body=b"upstream connect error or disconnect" if body is None else body)
        case "empty":
            return replace(answer, status=200, body=b"")
        case _:
            msg = f"no fault is called {rule.fault}"
            raise AssertionError(msg)


def _read_rule(wish: object, providers: Mapping[str, Dialect], *, number: int) -> FaultRule:
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
    if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
        msg = "times must be a whole number above 0, or null for ever"
        raise BadRuleError(msg)
    path, match, arguments = wish.get("path") or "", wish.get("match") or "", wish.get("args") or {}
    if not isinstance(path, str) or not isinstance(match, str) or not isinstance(arguments, dict):
        msg = "path and match must be strings, args an object"
        raise BadRuleError(msg)
    status = arguments.get("status", 500)
    if not isinstance(status, int) or not 200 <= status <= 599:
        msg = "args.status must be an HTTP status from 200 to 599"
        raise BadRuleError(msg)
    if len(str(arguments.get("retry_after", "")).splitlines()) > 1:
        msg = "args.retry_after must be one line"
        raise BadRuleError(msg)
    return FaultRule(number, provider, fault, path, match, times, arguments)
