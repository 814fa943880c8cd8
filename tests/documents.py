"""The pages people read, taken apart: their code blocks, commands, links and words in backticks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ingest.settings import CHECKOUT

PAGES = (*sorted(CHECKOUT.glob("*.md")), *sorted(CHECKOUT.glob("docs/*.md")), CHECKOUT / "sandbox" / "README.md")
#: Here a page says what is not there yet.
PROMISES = "What it does not do yet"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """Return the page's code blocks in that language."""
    return [text for name, text in _BLOCK.findall(page.read_text()) if name == language]


def command_lines(page: Path) -> list[str]:
    """Return every command of the page's `sh` blocks, and of its `console` blocks those after a `$`."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    lines += [
        line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines() if line[:2] == "$ "
    ]
    return [line for line in lines if shlex.split(line, comments=True)]


def block_with(page: Path, language: str, part: str) -> list[str]:
    """Return the lines of the page's one block in that language that contains `part`."""
    [block] = [one for one in blocks(page, language) if part in one]
    return block.splitlines()


def words(line: str) -> list[str]:
    """Return a command line's words, without its comment."""
    return shlex.split(line, comments=True)


def prose(page: Path) -> str:
    """Return the page without its code blocks and without its promises."""
    text = _BLOCK.sub("", page.read_text())
    return re.sub(rf"^## {PROMISES}\n.*?(?=^## |\Z)", "", text, flags=re.MULTILINE | re.DOTALL)


def quoted(page: Path) -> list[str]:
    """Return what stands in backticks in the page's prose, a line break in it as a space."""
    return [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", prose(page))]


def links(page: Path) -> list[str]:
    """Return the addresses the page links to."""
    return re.findall(r"\]\(([^)\s]+)\)", page.read_text())
