"""Blows: what is done to a running farm, its servers and its provider, drawn by dice.

Deliberately not here: what must be left when it is over (chaos). Invariant: what is struck and when follows from the
dice alone, and only processes of this farm are signalled.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from redis.exceptions import ConnectionError as RedisGone

from benchmarks.fault_sandbox import SandboxControl
from benchmarks.fault_table import SCENARIOS, Scenario
from benchmarks.stage import Stage
from ingest.pipeline.context import open_redis
from local.processes import Supervisor

#: From one blow to the next.
_PAUSE_S = (0.5, 6.0)
#: A stopped process goes on after this long: some before their leases (20 s) have run out, some after.
_STOPPED_S = (1.0, 30.0)
#: A fault of the provider's lasts this long, unless it is spent earlier.
_ILL_S = (1.0, 15.0)
_ONE_PAIR = "symbol=BTCUSDT"
#: Faults of the table that a farm overcomes without anybody's help. Refusals with 429 are left out, so that each one
#: that is seen means that the farm spent more than it may.
FAULTS = tuple(one for one in SCENARIOS if one.expects == "whole" and not one.lost and "429" not in one.name)


class Storm:
    """Strikes as time passes. `strike` does what is due; `calm` ends what would last."""

    def __init__(self, where: Stage, farm: Supervisor, sandbox: SandboxControl, provider: str, seed: int) -> None:
        self._where, self._farm, self._sandbox, self._provider = where, farm, sandbox, provider
        self._dice = random.Random(seed)
        self._next_at = time.monotonic() + self._dice.uniform(*_PAUSE_S)
        self._stopped: list[tuple[float, int]] = []
        self._well_at = 0.0
        #: (blow, how often)
        self.struck = Counter[str]()
        #: requests that came although the provider had told the farm to wait
        self.sent_while_held = 0

    def strike(self) -> str:
        """Do what is due by now; return the name of the blow, or an empty text where none was due."""
        now = time.monotonic()
        self._go_on(now)
        if self._well_at and now >= self._well_at:
            self._end_illness()
        if now < self._next_at:
            return ""
        self._next_at = now + self._dice.uniform(*_PAUSE_S)
        name, blow = self._dice.choice(self._blows())
        done = blow()
        if done:
            self.struck[name] += 1
        return f"{name}: {done}" if done else ""

    def calm(self) -> None:
        """Let what is stopped go on and the provider be well."""
        self._go_on(float("inf"))
        self._end_illness()

    def _blows(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        return (
            ("kill_process", self._kill_process),
            ("kill_child", self._kill_child),
            ("stop_process", self._stop_process),
            ("redis_flush", self._flush),
            ("redis_kill", lambda: self._end_server("valkey", signal.SIGKILL)),
            ("redis_restart", lambda: self._end_server("valkey", signal.SIGTERM)),
            ("postgres_restart", lambda: self._end_server("postgres", signal.SIGINT)),
            ("postgres_immediate", lambda: self._end_server("postgres", signal.SIGQUIT)),
            ("provider_fault", self._make_ill),
            ("provider_fault", self._make_ill),
        )

    def _victim(self) -> tuple[str, int] | None:
        pids = sorted((name, pid) for name, pid in self._farm.pids().items() if name.startswith(("worker-", "beat")))
        return self._dice.choice(pids) if pids else None

    def _kill_process(self) -> str:
        victim = self._victim()
        if victim is None:
            return ""
        with suppress(ProcessLookupError):
            os.kill(victim[1], signal.SIGKILL)
        return victim[0]

    def _kill_child(self) -> str:
        workers = sorted((name, pid) for name, pid in self._farm.pids().items() if name.startswith("worker-"))
        if not workers:
            return ""
        name, pid = self._dice.choice(workers)
        with suppress(OSError):
            children = sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
            if children:
                os.kill(self._dice.choice(children), signal.SIGKILL)
                return name
        return ""

    def _stop_process(self) -> str:
        victim = self._victim()
        if victim is None:
            return ""
        name, pid = victim
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGSTOP)
        for_s = self._dice.uniform(*_STOPPED_S)
        self._stopped.append((time.monotonic() + for_s, pid))
        return f"{name} for {for_s:.0f} s"

    def _go_on(self, now: float) -> None:
        for _, pid in [one for one in self._stopped if one[0] <= now]:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGCONT)
        self._stopped = [one for one in self._stopped if one[0] > now]

    def _flush(self) -> str:
        redis = open_redis(self._where.urls.redis_url)
        try:
            redis.flushall()
        except RedisGone:
            return ""
        finally:
            redis.close()
        return "emptied"

    def _end_server(self, which: str, how: signal.Signals) -> str:
        server = getattr(self._where.servers, which)
        if server.exit_code() is not None:
            return ""
        os.kill(server.pid, how)
        return how.name

    def _make_ill(self) -> str:
        if self._well_at:
            return ""
        fault: Scenario = self._dice.choice(FAULTS)
        for arm in fault.arms:
            # The sandbox keeps one page and gives it to whoever asks next; a page of bars does not say whose it is.
            self._sandbox.arm(self._provider, arm, match=_ONE_PAIR if arm.fault == "repeated_page" else "")
        for_s = self._dice.uniform(*_ILL_S)
        self._well_at = time.monotonic() + for_s
        return f"{fault.name} for {for_s:.0f} s"

    def _end_illness(self) -> None:
        self.sent_while_held += sum(rule["sent_while_held"] for rule in self._sandbox.armed())
        self._sandbox.disarm()
        self._well_at = 0.0
