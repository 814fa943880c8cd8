"""Faults: which are armed, which request meets one, and what it does to the answer.

Deliberately not here: reading a wish (`fault_rules.py`); what each fault does to a body (`body_faults.py`) or a row
(`row_faults.py`); how the bytes are held back or cut on the wire (`delivery.py`).
Invariant: a fault is counted as fired exactly when it changed what the client gets.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from sandbox.body_faults import BODY_FAULTS, Case
from sandbox.contract import Answer, Banning, Dialect, Request
from sandbox.fault_rules import BAN, CLOCK_SKEW, FIRST_BAN_S, MANNERS, REPEATED_PAGE, FaultRule, Manner, read_rule
from sandbox.row_faults import ROW_FAULTS, spoil_page

_SKEW_S = 300.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """An answer and the manner in which it travels; `fault` is the name of what was done to it.

    `skew_s` is how far the provider's clock is off, for the Date header.
    """

    answer: Answer
    manner: Manner = "whole"
    fault: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)
    skew_s: float = 0.0

    def number(self, name: str, default: float) -> float:
        value = self.arguments.get(name, default)
        return float(value) if isinstance(value, int | float) else default


class Faults:
    """The armed rules, in the order of arming; the first that meets a request and can act wins.

    Two act beside the others: a ban goes before everything, and a wrong clock is the provider's at any fault.
    """

    def __init__(self, elsewhere_url: str = "") -> None:
        self._rules: list[FaultRule] = []
        self._numbers = itertools.count(1)
        self._elsewhere_url = elsewhere_url

    def arm(self, wish: object, providers: Mapping[str, Dialect]) -> FaultRule:
        """Add a rule from its JSON form. Raises BadRuleError."""
        rule = read_rule(wish, providers, number=next(self._numbers))
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        self._rules.clear()

    def shown(self) -> list[dict[str, object]]:
        return [rule.shown() for rule in self._rules]

    def skew_s(self, provider: str, path: str, query: str) -> float:
        """Return how far the provider's clock is off for this request, counting the rule that says so as fired."""
        for rule in self._rules:
            if rule.fault == CLOCK_SKEW and rule.meets(provider, path, query):
                rule.fired += 1
                return rule.number_of("offset_s", _SKEW_S)
        return 0.0

    def deliver(
        self, answer: Answer, request: Request, *, provider: str, query: str, dialect: Dialect, skew_s: float = 0.0
    ) -> Delivery:
        """Return the answer as it is, or as the first armed fault that applies leaves it.

        `request.now_s` is the provider's clock, which is `skew_s` off the true one that holds are counted by.
        """
        now_s = request.now_s - skew_s
        for rule in self._rules:
            rule.note_arrival(provider, now_s, connection=request.connection)
        for rule in self._rules:
            delivery = _refuse_banned(rule, request, provider=provider, query=query, dialect=dialect, now_s=now_s)
            if delivery is not None:
                return replace(delivery, skew_s=skew_s)
        for rule in self._rules:
            if rule.fault not in (BAN, CLOCK_SKEW) and rule.meets(provider, request.path, query):
                delivery = self._apply(rule, answer, dialect=dialect, now_s=request.now_s)
                if delivery is not None:
                    rule.fired += 1
                    _remember_wait(rule, now_s, connection=request.connection)
                    return replace(delivery, skew_s=skew_s)
        return Delivery(answer, fault=CLOCK_SKEW if skew_s else "", skew_s=skew_s)

    def _apply(self, rule: FaultRule, answer: Answer, *, dialect: Dialect, now_s: float) -> Delivery | None:
        """Return what the rule makes of the answer; None where it finds nothing to act on."""
        if rule.fault in MANNERS:
            return Delivery(answer, cast(Manner, rule.fault), rule.fault, rule.arguments)
        if rule.fault in BODY_FAULTS:
            case = Case(rule.arguments, dialect, now_s, self._elsewhere_url)
            spoilt = BODY_FAULTS[rule.fault](answer, case)
        else:
            spoilt = _spoil_rows(rule, answer, dialect=dialect, now_s=now_s)
        return None if spoilt is None else Delivery(spoilt, fault=rule.fault)


def _spoil_rows(rule: FaultRule, answer: Answer, *, dialect: Dialect, now_s: float) -> Answer | None:
    page = dialect.page(answer.body) if answer.status == 200 else None
    if page is None:
        return None
    if rule.fault == REPEATED_PAGE:
        if rule.kept_body is None:  # the first page it meets is a true one: it is what comes again
            rule.kept_body = answer.body
            return None
        return replace(answer, body=rule.kept_body) if rule.kept_body != answer.body else None
    assert rule.fault in ROW_FAULTS
    if not spoil_page(rule.fault, page, arguments=rule.arguments, now_s=now_s):
        return None
    return replace(answer, body=page.text().encode())


def _refuse_banned(
    rule: FaultRule, request: Request, *, provider: str, query: str, dialect: Dialect, now_s: float
) -> Delivery | None:
    """Return the refusal of a ban that lasts, or that this request begins: it is about the client, not the path."""
    if rule.fault != BAN or rule.provider != provider:
        return None
    if now_s >= rule.held_until_s:
        if not rule.meets(provider, request.path, query):
            return None
        rule.fired += 1
        until_s = now_s + rule.number_of("seconds", FIRST_BAN_S)
    else:
        until_s = rule.held_until_s
    rule.hold(now_s, until_s, connection=request.connection)
    refused = cast(Banning, dialect).banned_answer(rule.held_until_s, now_s=now_s)
    return Delivery(refused, fault=BAN)


def _remember_wait(rule: FaultRule, now_s: float, *, connection: str) -> None:
    """Count from now on who does not wait as long as a `status` fault told."""
    wait_s = max(rule.number_of("retry_after", 0.0), rule.number_of("retry_after_date_s", 0.0))
    if wait_s > 0:
        # A date has whole seconds: the one it was cut to may be up to one second before what was meant.
        until_s = now_s + wait_s - ("retry_after_date_s" in rule.arguments)
        rule.hold(now_s, until_s, connection=connection)
