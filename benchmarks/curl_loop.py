"""The bare loop: one process, pycurl's multi interface, nothing but requests and bytes.

`python -m benchmarks.curl_loop --port N --requests M` prints its figures as JSON. Deliberately not here: decoding,
breaker, budget, retries, storage. Invariant: the least that libcurl lets a Python program do for a request.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

import pycurl

from benchmarks.tickers import urls

#: As many as aiohttp may open to a host.
CONNECTIONS = 100


def run(addresses: list[str]) -> int:
    """Ask every address; return how many answers were tickers."""
    left, good, asked = iter(addresses), 0, 0
    multi = pycurl.CurlMulti()
    bodies: dict[pycurl.Curl, list[bytes]] = {}
    for _ in range(CONNECTIONS):
        handle = pycurl.Curl()
        bodies[handle] = []
        handle.setopt(pycurl.WRITEFUNCTION, bodies[handle].append)
        asked += _ask(multi, handle, left)
    while asked:
        multi.perform()
        _, answered, failed = multi.info_read(CONNECTIONS)
        for handle in answered:
            good += handle.getinfo(pycurl.RESPONSE_CODE) == 200 and b'"bid"' in b"".join(bodies[handle])
        over = [*answered, *(handle for handle, _, _ in failed)]
        for handle in over:
            bodies[handle].clear()
            multi.remove_handle(handle)
            asked += _ask(multi, handle, left) - 1
        if not over:
            multi.select(1.0)
    return good


def _ask(multi: pycurl.CurlMulti, handle: pycurl.Curl, left: Iterator[str]) -> bool:
    """Send the next request, if there is one; say whether there was."""
    url = next(left, None)
    if url is None:
        return False
    handle.setopt(pycurl.URL, url)
    multi.add_handle(handle)
    return True


def main() -> None:
    """Ask once to warm up, then measure."""
    parser = argparse.ArgumentParser(description="Fetch tickers with pycurl.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    asked = parser.parse_args()
    addresses = urls(asked.port, asked.requests)
    run(addresses[:CONNECTIONS])
    began, used = time.perf_counter(), time.process_time()
    good = run(addresses)
    print(json.dumps({"good": good, "seconds": time.perf_counter() - began, "cpu_s": time.process_time() - used}))


if __name__ == "__main__":
    main()
