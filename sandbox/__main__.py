"""Run the sandbox: `python -m sandbox --port 8700`.

Deliberately not here: anything but arguments, the ready line, signals and exit codes.
Invariant: the ready line is printed after the socket listens, and holds the real port.
"""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Sequence

from sandbox.elsewhere import Elsewhere
from sandbox.routing import Routing
from sandbox.server import Server


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 1 where the port can't be had."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A local simulator of every provider.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8700, help="0 picks a free one")
    parser.add_argument("--seed", type=int, default=7, help="of the synthetic market")
    wish = parser.parse_args(arguments)
    return asyncio.run(_serve(wish.host, wish.port, seed=wish.seed))


async def _serve(host: str, port: int, *, seed: int) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Long answers are made in a thread; the usual 5 ms would be added to every other answer meanwhile.
    sys.setswitchinterval(0.0005)
    elsewhere = Elsewhere()
    other_host = Server(elsewhere)
    try:
        # By name: another host than the address below, as far as a client can tell.
        elsewhere.url = f"http://localhost:{await other_host.listen(host, 0)}"
        server = Server(Routing(seed=seed, elsewhere=elsewhere))
        taken = await server.listen(host, port)
    except (OSError, OverflowError) as problem:
        print(f"sandbox: can't listen on {host}:{port}: {problem}", file=sys.stderr)
        return 1
    gc.freeze()  # the tables stay for good; the collector need not walk them
    print(f"sandbox listening on http://{host}:{taken}", flush=True)
    await stop.wait()
    server.close()
    other_host.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
