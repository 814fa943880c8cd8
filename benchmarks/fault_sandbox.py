"""The sandbox's control addresses, as the fault matrix uses them: arm, clear, what came, who went elsewhere.

Deliberately not here: starting a sandbox. Invariant: nothing of a provider's allowance is used.
"""

from __future__ import annotations

from typing import Any

import requests

from benchmarks.fault_table import Arm

_PATIENCE_S = 10.0
#: The page of bars alone: the ill provider's other addresses stay well.
_BARS = "/api/v3/klines"


class SandboxControl:
    """One sandbox. Its address is `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = requests.Session()
        self._http.trust_env = False  # loopback needs no proxy

    def is_there(self) -> bool:
        """Say whether it answers."""
        try:
            return bool(self._ask("GET", "health"))
        except requests.ConnectionError:
            return False

    def arm(self, provider: str, arm: Arm, *, match: str = "") -> None:
        """Arm a fault for queries that hold `match`. Raises RuntimeError where the sandbox refuses it."""
        wish = {
            "provider": provider,
            "fault": arm.fault,
            "times": arm.times,
            "args": dict(arm.arguments),
            "match": match,
        }
        self._ask("POST", "faults", wish | {"path": _BARS})

    def arm_document(self, wish: dict[str, Any]) -> None:
        """Arm a fault as the sandbox's own document says it."""
        self._ask("POST", "faults", wish)

    def clear(self) -> None:
        """Disarm every fault and forget what was asked so far."""
        for what in ("faults", "requests", "elsewhere"):
            self._ask("DELETE", what)

    def no_limits(self, provider: str, **limits: int) -> None:
        """Turn a provider's dials."""
        self._ask("POST", "limits", {"provider": provider, "limits": limits})

    def disarm(self) -> None:
        """End every fault; what was asked stays known."""
        self._ask("DELETE", "faults")

    def armed(self) -> list[dict[str, Any]]:
        """Return the rules with what they did so far."""
        rules: list[dict[str, Any]] = self._ask("GET", "faults")["faults"]
        return rules

    def requests_of(self, provider: str) -> dict[str, Any]:
        """Return how many requests came, in all and by the status they got (0: none was sent)."""
        none: dict[str, Any] = {"total": 0, "by_status": {}}
        found: dict[str, Any] = self._ask("GET", "requests")["providers"].get(provider, none)
        return found

    def went_elsewhere(self) -> int:
        """Return how many requests reached the host that a redirect leads to."""
        return len(self._ask("GET", "elsewhere")["requests"])

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _ask(self, method: str, what: str, wish: object = None) -> Any:
        answer = self._http.request(method, f"{self.url}/sandbox/{what}", json=wish, timeout=_PATIENCE_S)
        if answer.status_code >= 400:
            raise RuntimeError(f"the sandbox refused {method} {what} {wish}: {answer.text}")
        return answer.json()
