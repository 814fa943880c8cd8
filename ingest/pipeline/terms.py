"""The terms on which a provider is asked: its limits at our pace, how long a batch may take, what is retried.

Put together from the provider's facts, the settings and the job's own options. Deliberately not here: keeping to the
terms (sending, the gate), reading settings (ingest/settings). Invariant: no setting makes a limit higher than the
provider states it; what is set can only lower it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingest import providers
from ingest.errors import FixRequest, UnknownName
from ingest.pipeline.credentials import keys_of
from ingest.pipeline.jobs import JobOptions
from ingest.providers.contract import Facts
from ingest.settings import BadSetting, Preset, Settings, base_urls, parse_limits
from ingest.transport.breaker import POLICIES as BREAKERS
from ingest.transport.breaker import BreakerPolicy
from ingest.transport.retry import POLICIES, Policy
from ingest.wire import Limit

#: The heaviest single request of any provider fits into this: a low pace stretches the window and cuts no further.
LEAST_WEIGHT = 100
#: The lowest pace there is: one request a year.
LONGEST_WINDOW_S = 366 * 86_400
SHORTEST_MONTH_S = 28 * 86_400
NO_OPTIONS = JobOptions()
#: One a second is slow enough for anybody's server.
UNSTATED = Limit(60, 60, "our own choice: the provider states no limit")


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one provider now. `limits` are the farm's own, each at most the one that is `stated`.

    `bases` are its addresses, the first choice first.
    """

    preset: Preset
    pace: float
    stated: tuple[Limit, ...]
    limits: tuple[Limit, ...]
    timeout_s: float
    request_timeout_s: float
    connections: int
    policy: Policy
    breaker: BreakerPolicy
    bases: tuple[str, ...]


def terms_of(config: Settings, facts: Facts, *, has_key: bool, options: JobOptions = NO_OPTIONS) -> Terms:
    """Return the terms for a provider. `has_key`: whether requests carry its key, without which less may be allowed."""
    stated = stated_limits(config, facts, has_key=has_key)
    timeout_s, pace = config.timeout_s(facts.name), config.pace(facts.name)
    return Terms(
        preset=config.preset_of(facts.name),
        pace=pace,
        stated=stated,
        limits=tuple(at_pace(limit, pace) for limit in stated),
        timeout_s=timeout_s if options.timeout_s is None else min(timeout_s, options.timeout_s),
        request_timeout_s=config.request_timeout_s(facts.name),
        connections=config.connections(facts.name),
        policy=policy_of(config, facts.name, options),
        breaker=breaker_of(config, facts.name),
        bases=base_urls(config, facts.name, (facts.base_url, *facts.mirrors)),
    )


def stated_limits(config: Settings, facts: Facts, *, has_key: bool) -> tuple[Limit, ...]:
    """Return what the provider allows us: what is set as paid for, else what it states; where nothing is, our own."""
    own = config.of_provider(facts.name)
    if own.limits is not None:
        return parse_limits(own.limits, f"TICKFARM_PROVIDERS__{facts.name.upper()}__LIMITS")
    if own.plan is not None and facts.plans and own.plan in facts.plans:
        return facts.plans[own.plan]
    if not has_key and facts.keyless_limits is not None:
        return facts.keyless_limits
    return facts.limits or (UNSTATED,)


def breaker_of(config: Settings, provider: str) -> BreakerPolicy:
    """Return when a provider's breaker opens and for how long: the preset's word, and what is set for the provider."""
    own, preset = config.of_provider(provider), BREAKERS[config.preset_of(provider)]
    open_ms = preset.open_ms if own.breaker_open_s is None else round(own.breaker_open_s * 1000)
    cap_ms = preset.cap_ms if own.breaker_open_cap_s is None else round(own.breaker_open_cap_s * 1000)
    return replace(preset, open_ms=open_ms, cap_ms=max(open_ms, cap_ms))


def policy_of(config: Settings, provider: str, options: JobOptions = NO_OPTIONS) -> Policy:
    """Return what is retried, and how: the preset's policy, what is set for the provider, then the job's own word."""
    own = config.of_provider(provider)
    retries = own.retries if options.retries is None else options.retries
    chosen = {"retries": retries, "base_s": own.retry_base_s, "cap_s": own.retry_cap_s}
    known = {name: value for name, value in chosen.items() if value is not None}
    return replace(POLICIES[config.preset_of(provider)], **known)  # type: ignore[arg-type]


def at_pace(limit: Limit, pace: float) -> Limit:
    """Return a share of a limit: fewer in the same window, or, where that leaves too few, as few in a longer one."""
    share = limit.amount * pace
    amount = max(math.floor(share), min(limit.amount, LEAST_WEIGHT if limit.unit == "weight" else 1))
    if amount <= share:
        return replace(limit, amount=amount)
    is_endless = amount * limit.per_s >= share * LONGEST_WINDOW_S
    per_s = LONGEST_WINDOW_S if is_endless else math.ceil(amount * limit.per_s / share)
    return replace(limit, amount=amount, per_s=max(per_s, limit.per_s))


def entry_limit(options: JobOptions) -> tuple[Limit, ...]:
    """Return what the jobs of a schedule entry may send together, if the entry says so."""
    if options.per_minute is None:
        return ()
    return (Limit(options.per_minute, 60, f"schedule entry {options.entry}"),)


def why_unusable(config: Settings, facts: Facts) -> str | None:
    """Return why a provider may not be asked: switched off, retired, it would cost money without a cap; else None."""
    own, setting = config.of_provider(facts.name), f"TICKFARM_PROVIDERS__{facts.name.upper()}__"
    if not own.enabled:
        return f"{facts.name} is switched off: {setting}ENABLED is false; take it away, or set it to true"
    if facts.lifecycle == "retired" and not own.base_urls and not config.tickfarm_sandbox_url:
        return f"{facts.name} is retired since {facts.lifecycle_note}. An archive of its answers: {setting}BASE_URL"
    if facts.charge is not None and not any(map(_is_monthly_cap, stated_limits(config, facts, has_key=True))):
        said = f"{facts.name} charges {facts.charge}: say how much a month may cost, as weight of a month's window"
        return f"{said}, with {setting}LIMITS, like 450/15m, 10000 weight/30d"
    return None


def refuse_unusable(config: Settings, facts: Facts) -> None:
    """Raise FixRequest, which says why, for a provider that may not be asked."""
    why = why_unusable(config, facts)
    if why is not None:
        raise FixRequest(why, provider=facts.name)


def _is_monthly_cap(limit: Limit) -> bool:
    return limit.unit == "weight" and limit.per_s >= SHORTEST_MONTH_S


def disabled(config: Settings) -> frozenset[str]:
    """Return the names of the providers that may not be asked: their jobs wait."""
    every = (providers.get(name).facts for name in providers.names())
    return frozenset(facts.name for facts in every if why_unusable(config, facts) is not None)


def check_settings(config: Settings) -> None:
    """Raise BadSetting for settings that only the providers can judge: their names, keys, waits that don't fit."""
    for name in config.tickfarm_providers:
        _check_provider(config, name, providers.names())
    for facts in (providers.get(name).facts for name in providers.names()):
        keys_of(config, facts)


def _check_provider(config: Settings, name: str, known: Sequence[str]) -> None:
    if name not in known:
        unknown = UnknownName("provider", name, known)
        raise BadSetting(f"TICKFARM_PROVIDERS__{name.upper()}__..: {unknown}")
    _check_plan(config, providers.get(name).facts)
    policy = policy_of(config, name)
    if policy.base_s > policy.cap_s:
        where = f"TICKFARM_PROVIDERS__{name.upper()}__RETRY_BASE_S"
        raise BadSetting(
            f"{where} is not valid: its first wait of {policy.base_s:g} s is over the longest, RETRY_CAP_S, "
            f"of {policy.cap_s:g} s: lower the one or raise the other"
        )


def _check_plan(config: Settings, facts: Facts) -> None:
    """Refuse a plan that does not exist, and limits above the stated ones where nobody can have paid for them."""
    own, where = config.of_provider(facts.name), f"TICKFARM_PROVIDERS__{facts.name.upper()}"
    if own.plan is not None and own.plan not in (facts.plans or {}):
        raise BadSetting(f"{where}__PLAN: {UnknownName('plan', own.plan, facts.plans or (), provider=facts.name)}")
    if own.limits is None or config.tickfarm_sandbox_url is not None:
        return
    if keys_of(config, facts):
        return
    stated = facts.limits if facts.keyless_limits is None else facts.keyless_limits
    for limit in parse_limits(own.limits, where):
        for theirs in stated:
            if limit.unit == theirs.unit and limit.amount * theirs.per_s > theirs.amount * limit.per_s:
                raise BadSetting(
                    f"{where}__LIMITS is not valid: {limit.amount}/{limit.per_s}s is more than {facts.name} allows "
                    f"without a key ({theirs.amount}/{theirs.per_s}s); set its key, or lower it"
                )
