"""The state folder on disk: private files, generated secrets, and the one error that says why a farm can't start.

Deliberately not here: what the files mean. Invariant: nothing is written for others to read, and no folder that was
there before is ever chmod-ed: what does not fit is refused with one line that says what to do.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ingest.errors import FixRequest

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
#: PostgreSQL's account must pass through to its own folder when root starts the farm, but never look around
PASSABLE_FOLDER = 0o711


class Refused(FixRequest):
    """The farm can't start here. The message is one line: what was found, and what to do. Print it and exit 1."""


def make_home(home: Path) -> Path:
    """Create the state folder if it is missing, and say clearly if it can't be used."""
    mode = PASSABLE_FOLDER if os.geteuid() == 0 else PRIVATE_FOLDER
    try:
        make_folder(home, mode=mode)
    except OSError as error:
        raise Refused(
            f"can't create the state folder {home}: {error.strerror}; set TICKFARM_HOME to a folder of yours"
        ) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise Refused(
            f"can't write to the state folder {home}: it belongs to another account; "
            "set TICKFARM_HOME to a folder of yours"
        )
    return home


def make_folder(folder: Path, *, mode: int = PRIVATE_FOLDER) -> Path:
    """Create a folder (and its parents) with this mode whatever the umask; one that exists is left as it is."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
    return folder


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner reads (0600), atomically: a reader finds the old text or the new one."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(descriptor)
    draft.replace(file)


def secret(home: Path, name: str) -> str:
    """Return the secret kept in `<home>/secrets/<name>`, generated at its first use; safe inside a URL."""
    file = make_folder(home / "secrets") / name
    if not file.exists():
        write_private(file, secrets.token_urlsafe(24))
    return file.read_text(encoding="utf-8").strip()
