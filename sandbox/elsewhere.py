"""The other host: where `redirect` leads, and the note of whoever followed.

Deliberately not here: the redirect itself (`body_faults.py`). Invariant: what is noted of a request shows that a key
came along, and never the key.
"""

import time
from collections import deque
from collections.abc import Callable

from sandbox.contract import Answer, RawRequest
from sandbox.faults import Delivery
from sandbox.secrets_mask import mask_secrets

_KEPT = 100
#: Headers that every client sends and that carry no secret: of all others only the name is kept.
_HARMLESS = frozenset({"host", "user-agent", "accept", "accept-encoding", "connection"})


class Elsewhere:
    """Answers everything with an empty list, which would pass for a page without rows, and remembers who asked."""

    def __init__(self) -> None:
        self.clock = time.time
        self.url = ""
        self._requests: deque[dict[str, object]] = deque(maxlen=_KEPT)

    def serve(self, raw: RawRequest, deliver: Callable[[Delivery], None]) -> None:
        path, mark, query = raw.target.partition("?")
        headers = {name: value if name in _HARMLESS else "***" for name, value in raw.headers.items()}
        self._requests.append({"path": f"{path}{mark}{mask_secrets(query)}", "headers": headers})
        deliver(Delivery(Answer(200, b"[]")))

    def close(self) -> None:
        """Nothing is open here."""

    def shown(self) -> dict[str, object]:
        return {"url": self.url, "requests": list(self._requests)}

    def reset(self) -> dict[str, object]:
        self._requests.clear()
        return self.shown()
