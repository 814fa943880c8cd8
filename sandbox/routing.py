"""Route a request to its provider or to the control addresses, let a fault have its way, note it in the log.

Deliberately not here: sockets (`server.py`) and bytes on the wire (`delivery.py`).
Invariant: every request ends in exactly one delivery, and every one to a provider in the log.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, unquote_plus

from sandbox.contract import Answer, Dialect, RawRequest, Request
from sandbox.control import Control
from sandbox.dialects import open_dialects
from sandbox.elsewhere import Elsewhere
from sandbox.faults import Delivery, Faults
from sandbox.request_log import RequestLog

Clock = Callable[[], float]
Deliver = Callable[[Delivery], None]


class Routing:
    """All providers behind one address: everything but the sockets."""

    def __init__(self, *, seed: int, elsewhere: Elsewhere, clock: Clock = time.time) -> None:
        self.clock = clock
        self._dialects = open_dialects(seed)
        self._faults = Faults(elsewhere.url)
        self._log = RequestLog()
        self._control = Control(self._dialects, self._faults, self._log, elsewhere=elsewhere, seed=seed)
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="long-answers")

    def close(self) -> None:
        self._aside.shutdown(wait=False, cancel_futures=True)

    def serve(self, raw: RawRequest, deliver: Deliver) -> None:
        """Answer one request and hand it to `deliver`: at once, or from a later turn of the loop."""
        try:
            self._serve(raw, deliver)
        except Exception:  # noqa: BLE001 - one broken request must not take the other connections with it
            deliver(_confess())

    def _serve(self, raw: RawRequest, deliver: Deliver) -> None:
        raw_path, _, query = raw.target.partition("?")
        provider, _, rest = raw_path.lstrip("/").partition("/")
        if provider == "sandbox":
            deliver(Delivery(self._control.answer(raw.method, rest, query=_parse_query(query), body=raw.body)))
            return
        dialect = self._dialects.get(provider)
        if dialect is None:
            known = ", ".join(f"/{name}/" for name in sorted(self._dialects))
            deliver(Delivery(plain(404, f"no such provider; known are {known} and /sandbox/")))
            return
        if raw.method != "GET":
            deliver(Delivery(plain(405, "providers are read with GET")))
            return
        path = f"/{unquote(rest)}"
        skew_s = self._faults.skew_s(provider, path, unquote_plus(query))
        now_s = self.clock() + skew_s
        request = Request(path, _parse_query(query), raw.headers, raw.client, now_s, raw.connection)
        outcome = dialect.answer(request)
        if isinstance(outcome, Answer):
            deliver(self._conclude(outcome, request, provider=provider, query=query, dialect=dialect, skew_s=skew_s))
            return

        def conclude(work: asyncio.Future[Answer]) -> None:
            if work.cancelled():  # the sandbox is stopping
                return
            try:
                answer = work.result()
                deliver(self._conclude(answer, request, provider=provider, query=query, dialect=dialect, skew_s=skew_s))
            except Exception:  # noqa: BLE001 - as above
                deliver(_confess())

        asyncio.get_running_loop().run_in_executor(self._aside, outcome).add_done_callback(conclude)

    def _conclude(
        self, answer: Answer, request: Request, *, provider: str, query: str, dialect: Dialect, skew_s: float
    ) -> Delivery:
        delivery = self._faults.deliver(
            answer, request, provider=provider, query=unquote_plus(query), dialect=dialect, skew_s=skew_s
        )
        status = 0 if delivery.manner in ("hang", "reset") else delivery.answer.status
        now_s = request.now_s - skew_s
        self._log.record(provider, request.path, query=query, status=status, fault=delivery.fault, now_s=now_s)
        return delivery


def _confess() -> Delivery:
    """Tell the client that the failure is ours. The traceback holds no values, so no key either."""
    traceback.print_exc(file=sys.stderr)
    return Delivery(plain(500, "the sandbox itself failed; its stderr says where"))


def _parse_query(text: str) -> dict[str, str]:
    """Return the parameters, decoded; of a repeated one the last."""
    parameters = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if name:
            parameters[unquote_plus(name)] = unquote_plus(value)
    return parameters


def plain(status: int, message: str) -> Answer:
    return Answer(status, f"{message}\n".encode(), content_type="text/plain; charset=utf-8")
