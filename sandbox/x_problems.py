"""The bodies of X's errors: its problems, and the two that are none ("about:blank", a code of the former API).

Deliberately not here: when each comes (`dialects/x.py`). Invariant: `type` begins with the documented address.
Source: https://github.com/xdevplatform/docs (response-codes-and-errors, rate-limits; openapi.json 2.167), 2026-08-22.
The bodies of a spent cap and of spent credits are as clients quote them (unconfirmed).
"""

import json

_PROBLEMS = "https://api.x.com/2/problems/"


def compact(value: object) -> bytes:
    """Return JSON as X sends it: without spaces, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def problem(kind: str, title: str, detail: str, **more: object) -> bytes:
    """Return a problem's body: `type`, `title`, `detail`, and what else it says."""
    return compact({**more, "title": title, "detail": detail, "type": f"{_PROBLEMS}{kind}"})


def blank(status: int, title: str) -> bytes:
    """Return the body of an error whose status says all."""
    return compact({"title": title, "type": "about:blank", "status": status, "detail": title})


def invalid_request(parameter: str, value: str, message: str) -> bytes:
    """Return the body of a 400."""
    errors = [{"parameters": {parameter: [value]}, "message": message}]
    detail = "One or more parameters to your request was invalid."
    return problem("invalid-request", "Invalid Request", detail, errors=errors)


INTERNAL = problem("internal-error", "Internal Error", "An internal error has occurred.", status=500)
OVER_LIMIT = compact({"errors": [{"code": 88, "message": "Rate limit exceeded"}]})
RATE_LIMITED = problem("rate-limit-exceeded", "Too Many Requests", "Too Many Requests", status=429)
USAGE_CAPPED = problem(
    "usage-capped", "UsageCapExceeded", "Usage cap exceeded: Monthly product cap", period="Monthly", scope="Product"
)
OUT_OF_CREDITS = problem("credits", "CreditsDepleted", "Your enrolled account does not have any credits", status=402)
FORBIDDEN = problem("client-forbidden", "Client Forbidden", "This app may not use this endpoint.", status=403)
BAD_QUERY = invalid_request("query", "(", "There were errors processing your request: missing ')' (at position 2)")
