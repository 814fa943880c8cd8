"""Starting a farm: what is refused before anything starts, and what each process is given."""

from __future__ import annotations

import socket
import stat

import pytest

import local
from local.farm_processes import farm_processes
from local.lock import hold
from local.port import require_free
from local.state import make_home


@pytest.fixture
def busy_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("setting", ["TICKFARM_FLOWER_PORT", "TICKFARM_DASHBOARD_PORT", "TICKFARM_SANDBOX_PORT"])
def test_a_busy_port_is_refused_in_one_line_before_anything_starts(home, busy_port, setting, monkeypatch):
    monkeypatch.setenv("TICKFARM_FLOWER_PORT", "0")
    monkeypatch.setenv("TICKFARM_DASHBOARD_PORT", "0")
    monkeypatch.setenv(setting, str(busy_port))
    with pytest.raises(local.Refused) as refusal, local.farm(home, sandbox=True):
        pass
    message = str(refusal.value)
    assert str(busy_port) in message
    assert setting in message
    assert "\n" not in message
    assert sorted(path.name for path in home.iterdir()) == ["farm.lock"]


def test_a_port_is_free_again_as_soon_as_its_listener_is_gone(busy_port):
    with pytest.raises(local.Refused):
        require_free({"TICKFARM_FLOWER_PORT": busy_port})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port)) as client,
            listener.accept()[0] as server,
        ):
            server.shutdown(socket.SHUT_RDWR)  # this side closes first: the port stays in TIME_WAIT
            client.recv(1)
    require_free({"TICKFARM_FLOWER_PORT": port})


def test_a_second_farm_is_refused(home):
    with hold(make_home(home)), pytest.raises(local.Refused, match="a farm already runs"), local.farm(home):
        pass


def test_no_secret_stands_in_an_argument_list_and_each_process_knows_its_farm(home, monkeypatch):
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", "planted-key")
    ports = {"flower_port": 5555, "dashboard_port": 8000, "sandbox_port": 8700}
    processes = farm_processes(make_home(home), ("live", "backfill"), **ports)
    password_file, token_file = home / "secrets" / "flower_password", home / "secrets" / "dashboard_token"
    assert stat.S_IMODE(password_file.stat().st_mode) == stat.S_IMODE(token_file.stat().st_mode) == 0o600
    for process in processes:
        assert "planted-key" not in " ".join(process.argv)
        assert password_file.read_text() not in " ".join(process.argv)
        assert password_file.read_text() not in repr(process)
        assert token_file.read_text() not in repr(process)
        assert process.env["TICKFARM_HOME"] == str(home)
        assert process.env["TICKFARM_SANDBOX_URL"] == "http://127.0.0.1:8700"
        assert "planted-key" not in process.env.values()  # the sandbox is a stranger to real keys
    by_name = {process.name: process for process in processes}
    assert by_name["flower"].env["FLOWER_BASIC_AUTH"] == f"tickfarm:{password_file.read_text()}"
    assert by_name["dashboard"].env["TICKFARM_DASHBOARD_TOKEN"] == token_file.read_text()
    assert by_name["dashboard"].env["TICKFARM_DASHBOARD_PORT"] == "8000"
    assert by_name["worker-backfill"].nice == 15
    assert by_name["worker-live"].nice == 0
    ranks = [by_name[name].stop_rank for name in ("worker-live", "beat", "flower", "sandbox")]
    assert ranks == sorted(set(ranks))


@pytest.mark.parametrize("name", ["TICKFARM_DASHBOARD_TOKEN", "TICKFARM_DASHBOARD_TOKEN_FILE"])
def test_a_token_that_somebody_set_is_the_dashboards_own(home, name, monkeypatch):
    monkeypatch.setenv(name, "set-by-somebody")
    *_, dashboard = farm_processes(make_home(home), ("live",), flower_port=5555, dashboard_port=8000)
    assert [dashboard.env.get(name), (home / "secrets" / "dashboard_token").exists()] == ["set-by-somebody", False]


def test_without_a_sandbox_the_workers_ask_the_real_providers(home, monkeypatch):
    monkeypatch.setenv("NASDAQ_DATA_LINK_API_KEY", "planted-key")
    processes = farm_processes(make_home(home), ("live",), flower_port=5555)
    assert [process.name for process in processes] == ["worker-live", "beat", "flower"]
    assert all("TICKFARM_SANDBOX_URL" not in process.env for process in processes)
    assert all(process.env["NASDAQ_DATA_LINK_API_KEY"] == "planted-key" for process in processes)


def test_keys_written_in_the_env_file_reach_the_workers(home, tmp_path, monkeypatch):
    file = tmp_path / ".env"
    file.write_text("NASDAQ_DATA_LINK_API_KEY=from-file\n")
    monkeypatch.setitem(local.start.Settings.model_config, "env_file", file)
    (worker, *_) = farm_processes(make_home(home), ("live",), flower_port=5555)
    assert worker.env["NASDAQ_DATA_LINK_API_KEY"] == "from-file"
