"""The process and its HTTP: start, stop, keep-alive, pipelining, counters, and that it stands alone."""

import ast
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.secrets_mask import mask_secrets
from tests.sandbox.conftest import REPOSITORY, TABLE, start_sandbox

PING = b"GET /binance/api/v3/ping HTTP/1.1\r\nHost: sandbox\r\n\r\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_even_with_a_connection_open(number):
    process, url = start_sandbox("--port", "0")
    with process, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.communicate() == ("", "")


def test_a_signal_during_long_work_ends_it_without_noise():
    process, url = start_sandbox("--port", "0")
    with process, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5) as connection:
        for symbol in (b"BTCUSDT", b"ETHUSDT", b"SOLUSDT"):
            path = b"/binance/api/v3/klines?symbol=" + symbol + b"&interval=1d&limit=1000"
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\n\r\n")
        with socket.create_connection(connection.getpeername(), timeout=5) as other:
            other.sendall(PING)
            read_answers(other, 1)  # other connections are served meanwhile
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.communicate() == ("", "")


def test_a_busy_port_is_one_clear_line_and_exit_code_1(sandbox):
    command = [sys.executable, "-m", "sandbox", "--port", str(sandbox.port)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert f"can't listen on 127.0.0.1:{sandbox.port}" in ended.stderr


def test_the_same_seed_gives_the_same_market_in_another_process(sandbox):
    process, url = start_sandbox("--port", "0")
    path = "/binance/api/v3/klines?symbol=ETHBTC&interval=1h&startTime=1600000000000&limit=50"
    with process:
        assert sandbox.pool.request("GET", url + path).data == sandbox.get(path).data
        process.terminate()


def read_answers(connection, count):
    received = b""
    while received.count(b"\r\n\r\n{}") < count:
        received += connection.recv(65_536)
    return received


def test_pipelined_requests_are_answered_in_order_even_behind_a_slow_one(sandbox):
    sandbox.arm("binance", "slow", path="/api/v3/time", args={"delay_s": 0.1})
    time_first = PING.replace(b"ping", b"time") + PING * 20
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        connection.sendall(time_first)
        received = read_answers(connection, 20)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 21
    assert received.index(b"serverTime") < received.index(b"\r\n\r\n{}")


def test_a_request_that_arrives_byte_by_byte_is_answered(sandbox):
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(PING)):
            connection.sendall(PING[i : i + 1])
        assert read_answers(connection, 1).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /x HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"GET /x HTTP/1.1\r\nA: " + b"a" * 70_000, b"431"),
        (b"POST /binance/api/v3/ping HTTP/1.1\r\nConnection: close\r\n\r\n", b"405"),
        (b"GET /nope/ HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /sandbox/nope HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
    ],
)
def test_a_request_that_is_none_is_refused_and_the_connection_closed(sandbox, sent, status):
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
    assert received.split(b" ")[1] == status


def test_three_hundred_connections_are_served_at_once(sandbox):
    address = ("127.0.0.1", sandbox.port)
    connections = [socket.create_connection(address, timeout=5) for _ in range(300)]
    for connection in connections:
        connection.sendall(PING)
    for connection in connections:
        assert read_answers(connection, 1).startswith(b"HTTP/1.1 200 OK\r\n")
        connection.close()


def test_requests_are_counted_by_provider_and_status_and_can_be_reset(sandbox):
    sandbox.arm("binance", "status", args={"status": 503})
    for path in ("ping", "ping", "nope"):
        sandbox.get(f"/binance/api/v3/{path}")
    shown = sandbox.control("GET", "requests?log=1")[1]
    assert shown["providers"] == {"binance": {"total": 3, "by_status": {"200": 1, "404": 1, "503": 1}}}
    assert [(entry["path"], entry["status"], entry["fault"]) for entry in shown["log"]] == [
        ("/api/v3/ping", 503, "status"),
        ("/api/v3/ping", 200, ""),
        ("/api/v3/nope", 404, ""),
    ]
    sandbox.control("DELETE", "requests")
    assert sandbox.control("GET", "requests")[1] == {"providers": {}}


@pytest.mark.parametrize("name", ["api_key", "apikey", "access_key", "token", "API_KEY", "api%5Fkey", "api_%6Bey"])
def test_the_values_of_secret_parameters_are_masked_however_the_name_is_written(name):
    assert mask_secrets(f"symbol=A&{name}=abc&limit=5%25") == f"symbol=A&{name}=***&limit=5%25"
    assert mask_secrets(f"{name}=abc") == f"{name}=***"


def test_limits_can_be_turned_and_turning_forgets_what_was_spent(sandbox):
    wish = {"provider": "nasdaq_data_link", "limits": {"anonymous_per_day": 3}}
    table = f"{TABLE}?ticker=FB&qopts.per_page=1"
    sandbox.control("POST", "limits", wish)
    assert [sandbox.get(table).status for _ in range(4)] == [200, 200, 200, 429]
    sandbox.control("POST", "limits", wish)
    assert sandbox.get(table).status == 200
    assert sandbox.control("POST", "limits", {"provider": "binance", "limits": {"nope": 3}})[0] == 400


def test_health_names_the_providers(sandbox):
    shown = sandbox.control("GET", "health")[1]
    dialects = [file.stem for file in (REPOSITORY / "sandbox" / "dialects").glob("[a-z]*.py")]
    assert shown == {"status": "ok", "seed": 7, "providers": sorted(dialects)}


def test_the_sandbox_imports_only_itself_and_the_standard_library():
    allowed = {*sys.stdlib_module_names, "sandbox"}
    for file in sorted((REPOSITORY / "sandbox").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            assert {name.partition(".")[0] for name in names} <= allowed, Path(file)
