"""A stage with a sandbox beside it, in a process of its own, which answers.

Deliberately not here: telling it what to do (fault_sandbox). Invariant: both are gone when the block ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from benchmarks.fault_sandbox import SandboxControl
from benchmarks.stage import Stage, running, stage, until
from local.port import LOOPBACK, free_port

#: It reads the wheels' files when it starts.
_READY_WITHIN_S = 30.0


@contextmanager
def sandboxed() -> Iterator[tuple[Stage, SandboxControl]]:
    """Run both while the block runs."""
    port = free_port()
    argv = (sys.executable, "-m", "sandbox", "--port", str(port))
    with (
        stage() as where,
        running(where, "sandbox", *argv, env=os.environ),
        closing(SandboxControl(f"http://{LOOPBACK}:{port}")) as sandbox,
    ):
        until(sandbox.is_there, _READY_WITHIN_S, "the sandbox")
        yield where, sandbox
