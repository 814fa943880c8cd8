"""docs/providers.md, made from the providers' own files: `python -m local.provider_page` prints it.

Deliberately not here: how a provider is now (`tickfarm providers`). Invariant: nothing on the page is written by hand;
a test compares it with what this file makes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ingest import providers
from ingest.providers.contract import Facts
from ingest.wire import Limit

_SPANS = {1: "second", 60: "minute", 3_600: "hour", 86_400: "day"}
_HEAD = """# Providers

Made from `ingest/providers/*.py` by `python -m local.provider_page`; a test keeps the two alike. Limits are the
provider's own, with the place and date they were read at; `TICKFARM_PROVIDERS__<NAME>__PLAN` names a paid plan and
`.._LIMITS` spells one out. How far back: what the provider can be asked for, counted from now; the rest is all it has.
Bars of weeks and months, which most of them have too, are asked of none: they are dated differently by each, and `1d`
has all that is in them.
"""


def page() -> str:
    """Return the page."""
    every = [providers.get(name).facts for name in providers.names()]
    lines = [_HEAD, "| provider | datasets | key | free limits | state |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(_overview(facts))} |" for facts in every]
    return "\n".join([*lines, "", *(line for facts in every for line in _section(facts))])


def limit_in_words(limit: Limit) -> str:
    """Return a limit as `300 requests in 10 seconds`, with when it starts anew and what it is for."""
    name = next((f"{limit.per_s // s} {word}s" for s, word in reversed(_SPANS.items()) if limit.per_s % s == 0), "")
    span = name.replace("1 ", "a ", 1).removesuffix("s") if name.startswith("1 ") else name
    span = "a month" if limit.resets and limit.per_s > 27 * 86_400 else span
    every = "" if span.startswith("a ") else "in "
    anew = f", anew at midnight {limit.resets}" if limit.resets else ""
    only = f" ({', '.join(limit.datasets)})" if limit.datasets else ""
    unit = limit.unit if limit.amount != 1 else limit.unit.removesuffix("s")
    return f"{limit.amount:,} {unit} {every}{span}{anew}{only}"


def _overview(facts: Facts) -> tuple[str, ...]:
    names = " and ".join(f"`{part.env}`" for part in facts.key.parts) if facts.key else "none"
    key = names if facts.key is None or facts.key.required else f"{names} (optional)"
    limits = facts.limits if facts.key is None or facts.key.required else facts.keyless_limits or facts.limits
    free = "; ".join(limit_in_words(one) for one in limits) or "not stated: 60 requests a minute are used"
    return f"[{facts.name}](#{facts.name})", ", ".join(facts.datasets), key, free, facts.lifecycle


def _section(facts: Facts) -> Iterator[str]:
    yield f"## {facts.name}"
    yield ""
    yield f"{facts.title}: [documentation]({facts.docs_url}), [terms]({facts.terms_url})."
    yield ""
    if facts.lifecycle != "live":
        yield f"- **{facts.lifecycle}** since {facts.lifecycle_note}"
    if facts.aliases:
        yield f"- also known as {', '.join(facts.aliases)}"
    yield f"- address {facts.base_url}{_also(' (mirrors: ', ', '.join(facts.mirrors), ')')}"
    if facts.intervals:
        others = [f"{facts.adjustments[kind]} in `{kind}.`" for kind in facts.adjustments]
        adjusted = ", ".join([facts.adjustment, *others])
        yield f"- intervals {', '.join(facts.intervals)}; prices adjusted for: {adjusted}"
    reach = [f"{what} {days} days" for what, days in facts.reach_days.items()]
    reach += [f"the newest {facts.reach_bars} bars"] if facts.reach_bars else []
    yield f"- how far back: {', '.join(reach) or 'all'}"
    for what, plan in facts.paid.items():
        yield f"- {what}: {plan}"
    for what, why in facts.left_out.items():
        yield f"- not asked for: {what}, because {why}"
    if facts.charge:
        yield f"- charges {facts.charge}"
    if facts.key is not None:
        only = f" (for {', '.join(facts.key.datasets)})" if facts.key.datasets else ""
        for part in facts.key.parts:
            yield f"- key `{part.env}`{_also(' (or ', ', '.join(part.also), ')')}{only}: {part.where_to_get}"
    yield from _limits("limits", facts.limits)
    yield from _limits("limits without a key", facts.keyless_limits or ())
    for name, allowed in (facts.plans or {}).items():
        yield from _limits(f"plan `{name}`", allowed)
    yield ""


def _limits(what: str, limits: tuple[Limit, ...]) -> Iterator[str]:
    for one in limits:
        yield f"- {what}: {limit_in_words(one)} ({one.source})"


def _also(before: str, text: str, after: str) -> str:
    return f"{before}{text}{after}" if text else ""


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - what it is for
