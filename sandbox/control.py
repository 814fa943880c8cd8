"""The sandbox's own addresses under `/sandbox/`: health, truth, faults, limits, requests, elsewhere.

Deliberately not here: anything a provider offers.
Invariant: no answer holds a key, and asking costs no provider's allowance.
"""

import json
from collections.abc import Callable, Mapping

from sandbox.contract import Answer, Dialect
from sandbox.elsewhere import Elsewhere
from sandbox.fault_rules import BadRuleError
from sandbox.faults import Faults
from sandbox.request_log import RequestLog


class Control:
    """Answer the control requests over the parts of one server."""

    def __init__(
        self,
        dialects: Mapping[str, Dialect],
        faults: Faults,
        log: RequestLog,
        *,
        elsewhere: Elsewhere,
        seed: int,
    ) -> None:
        self._dialects = dialects
        self._faults = faults
        self._log = log
        self._seed = seed
        self._routes: dict[tuple[str, str], Callable[[Mapping[str, str], bytes], Answer]] = {
            ("GET", "health"): self._health,
            ("GET", "faults"): lambda query, body: _json({"faults": faults.shown()}),
            ("POST", "faults"): self._arm,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "limits"): lambda query, body: _json({name: d.limits for name, d in dialects.items()}),
            ("POST", "limits"): self._set_limits,
            ("GET", "requests"): self._requests,
            ("DELETE", "requests"): self._reset_requests,
            ("GET", "elsewhere"): lambda query, body: _json(elsewhere.shown()),
            ("DELETE", "elsewhere"): lambda query, body: _json(elsewhere.reset()),
        }

    def answer(self, method: str, path: str, *, query: Mapping[str, str], body: bytes) -> Answer:
        """Answer one control request; `path` starts after `/sandbox/`."""
        if method == "GET" and path.startswith("truth/"):
            return self._truth(path.removeprefix("truth/"))
        route = self._routes.get((method, path))
        if route is not None:
            return route(query, body)
        known = sorted(f"{verb} /sandbox/{name}" for verb, name in self._routes)
        return _json({"error": "no such address", "known": [*known, "GET /sandbox/truth/PROVIDER"]}, status=404)

    def _health(self, query: Mapping[str, str], body: bytes) -> Answer:
        return _json({"status": "ok", "seed": self._seed, "providers": sorted(self._dialects)})

    def _truth(self, provider: str) -> Answer:
        if provider not in self._dialects:
            return _json({"error": f"provider must be one of {sorted(self._dialects)}"}, status=404)
        return _json(self._dialects[provider].truth())

    def _arm(self, query: Mapping[str, str], body: bytes) -> Answer:
        try:
            rule = self._faults.arm(json.loads(body), self._dialects)
        except BadRuleError as bad:
            return _json({"error": str(bad)}, status=400)
        except ValueError:
            return _json({"error": "the body is no JSON"}, status=400)
        return _json(rule.shown(), status=201)

    def _clear_faults(self, query: Mapping[str, str], body: bytes) -> Answer:
        self._faults.clear()
        return _json({"faults": []})

    def _set_limits(self, query: Mapping[str, str], body: bytes) -> Answer:
        """Turn a provider's dials, `{"provider":"binance","limits":{"weight_per_minute":100}}`, and forget spending."""
        try:
            wish = json.loads(body)
        except ValueError:
            return _json({"error": "the body is no JSON"}, status=400)
        dialect = self._dialects.get(str(wish.get("provider"))) if isinstance(wish, dict) else None
        if dialect is None:
            return _json({"error": f"provider must be one of {sorted(self._dialects)}"}, status=400)
        dials = wish.get("limits", {})
        whole = isinstance(dials, dict) and all(type(value) is int and value >= 0 for value in dials.values())
        if not whole or not dialect.limits.keys() >= dials.keys():
            return _json({"error": f"limits must be whole numbers of {sorted(dialect.limits)}"}, status=400)
        dialect.limits.update(dials)
        dialect.forget_spending()
        return _json(dialect.limits)

    def _requests(self, query: Mapping[str, str], body: bytes) -> Answer:
        counters: dict[str, object] = {"providers": self._log.counters()}
        return _json(counters | {"log": self._log.entries()} if query.get("log") == "1" else counters)

    def _reset_requests(self, query: Mapping[str, str], body: bytes) -> Answer:
        self._log.reset()
        return _json({"providers": {}})


def _json(value: object, *, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), content_type="application/json")
