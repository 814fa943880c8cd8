"""Account for Binance's request weight per IP and minute, and ban whoever goes on after a 429.

Deliberately not here: the weight of each call and the wording of the refusal (`dialects/binance.py`).
Invariant: within one clock minute one client is granted at most the limit, failed requests included.
Source: binance-spot-api-docs rest-api.md, "Limits", state of 2026-07-21.
"""

from dataclasses import dataclass

MINUTE_S = 60
# "IP bans are tracked and scale in duration for repeat offenders, from 2 minutes to 3 days."
LONGEST_BAN_S = 3 * 86_400


@dataclass(slots=True)
class _Account:
    minute: int = -1
    used: int = 0
    ignored_429s: int = 0
    bans: int = 0
    banned_until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request did: `status` 200, 429 or 418; the two refusals say how long to wait."""

    status: int
    used_weight: int
    retry_after_s: int = 0
    banned_until_ms: int = 0


class WeightLedger:
    """One account per client address."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def charge(self, client: str, weight: int, *, limits: dict[str, int], now_s: float) -> Charge:
        """Charge one request and say whether it is granted."""
        account = self._accounts.setdefault(client, _Account())
        minute = int(now_s // MINUTE_S)
        if minute != account.minute:
            account.minute, account.used, account.ignored_429s = minute, 0, 0
        account.used += weight
        if now_s < account.banned_until_s:
            return self._refuse_banned(account, now_s)
        if account.used <= limits["weight_per_minute"]:
            return Charge(200, account.used)
        account.ignored_429s += 1
        if account.ignored_429s > limits["ignored_429s_before_ban"]:
            account.banned_until_s = now_s + min(limits["first_ban_s"] << account.bans, LONGEST_BAN_S)
            account.bans += 1
            return self._refuse_banned(account, now_s)
        return Charge(429, account.used, int((minute + 1) * MINUTE_S - now_s) + 1)

    def _refuse_banned(self, account: _Account, now_s: float) -> Charge:
        wait_s = int(account.banned_until_s - now_s) + 1
        return Charge(418, account.used, wait_s, int(account.banned_until_s * 1000))

    def forget(self) -> None:
        self._accounts.clear()
