"""The terms on which a provider is asked: its limits at our pace, how long a batch may take, what is retried.

Put together from the provider's facts, the settings and the job's own options. Deliberately not here: keeping to the
terms (sending, the pacer), reading settings (ingest/settings). Invariant: no setting makes a limit higher than the
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
from ingest.settings import BadSetting, Preset, Settings
from ingest.transport.retry import POLICIES, Policy
from ingest.wire import Limit

#: The heaviest single request of any provider fits into this: a low pace stretches the window and cuts no further.
LEAST_WEIGHT = 100
#: The lowest pace there is: one request a year.
LONGEST_WINDOW_S = 366 * 86_400
_NO_OPTIONS = JobOptions()


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one provider now. `limits` are the farm's own, each at most the one that is `stated`."""

    preset: Preset
    pace: float
    stated: tuple[Limit, ...]
    limits: tuple[Limit, ...]
    timeout_s: float
    policy: Policy


def terms_of(config: Settings, facts: Facts, *, has_key: bool, options: JobOptions = _NO_OPTIONS) -> Terms:
    """Return the terms for a provider. `has_key`: whether requests carry its key, without which less may be allowed."""
    stated = facts.limits if has_key or facts.keyless_limits is None else facts.keyless_limits
    timeout_s, pace = config.timeout_s(facts.name), config.pace(facts.name)
    return Terms(
        preset=config.preset_of(facts.name),
        pace=pace,
        stated=stated,
        limits=tuple(at_pace(limit, pace) for limit in stated),
        timeout_s=timeout_s if options.timeout_s is None else min(timeout_s, options.timeout_s),
        policy=policy_of(config, facts.name, options),
    )


def policy_of(config: Settings, provider: str, options: JobOptions = _NO_OPTIONS) -> Policy:
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


def refuse_disabled(config: Settings, provider: str) -> None:
    """Raise FixRequest for a provider that is switched off."""
    if not config.of_provider(provider).enabled:
        setting = f"TICKFARM_PROVIDERS__{provider.upper()}__ENABLED"
        raise FixRequest(f"{provider} is switched off: {setting} is false; take it away, or set it to true")


def disabled(config: Settings) -> frozenset[str]:
    """Return the names of the providers that are switched off."""
    return frozenset(name for name in config.tickfarm_providers if not config.of_provider(name).enabled)


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
    policy = policy_of(config, name)
    if policy.base_s > policy.cap_s:
        where = f"TICKFARM_PROVIDERS__{name.upper()}__RETRY_BASE_S"
        raise BadSetting(
            f"{where} is not valid: its first wait of {policy.base_s:g} s is over the longest, RETRY_CAP_S, "
            f"of {policy.cap_s:g} s: lower the one or raise the other"
        )
