"""The pages say what is so: commands exist and can be read, files are there, keys and settings are named.

Deliberately not here: running the commands against a farm (test_demo.py runs the README's).
"""

from __future__ import annotations

import inspect
import re
import subprocess
from pathlib import Path

import psycopg2
import pytest
from celery.bin.celery import celery
from celery.worker.control import Panel
from sqlalchemy.engine import make_url
from typer.main import get_command

import cli
from ingest import providers
from ingest.pipeline.calls import check_call
from ingest.pipeline.follow import check_names
from ingest.pipeline.instruments import is_pattern
from ingest.settings import CHECKOUT, Settings
from tasks import app
from tests.documents import PAGES, PROMISES, blocks, command_lines, links, quoted, words

README, OPERATIONS = CHECKOUT / "README.md", CHECKOUT / "docs" / "operations.md"
LINES = [pytest.param(line, id=f"{page.name}: {line[:60]}") for page in PAGES for line in command_lines(page)]
MAKEFILE = (CHECKOUT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
TICKFARM = get_command(cli.cli)
EXTENSIONS = (".py", ".md", ".yml", ".toml", ".lock", ".lua")
CODE = {
    file: file.read_text()
    for folder in ("commands", "ingest", "models", "tasks", "local", "sandbox")
    for file in (CHECKOUT / folder).rglob("*")
    if file.suffix in {".py", ".lua"}
}


def tracked():
    """Return the files of the repository, those that are not committed yet too."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this is no git checkout")
    return [file for name in done.stdout.splitlines() if (file := CHECKOUT / name).is_file()]


def read_tickfarm(arguments):
    """Read a command line as `tickfarm` would; return the command's path and what it was given."""
    command, path, rest = TICKFARM, [], list(arguments)
    while hasattr(command, "commands"):
        assert rest, f"tickfarm {' '.join(path)} needs a command"
        path.append(rest.pop(0))
        command = command.commands[path[-1]]
    return path, command.make_context(path[-1], rest).params


def read_celery(arguments):
    """Read a `celery` command line as Celery would."""
    assert arguments[:2] == ["-A", "tasks"], "the application is `tasks`"
    name, *rest = arguments[2:]
    if name in {"worker", "beat", "flower"}:  # these need the application to be read: test_compose.py runs the same
        assert name in {*celery.commands, "flower"}
        return
    given = celery.commands[name].make_context(name, list(rest)).params
    if name == "call":
        app.loader.import_default_modules()
        inspect.signature(app.tasks[given["name"]].run).bind(**given["kwargs"])
    elif name in {"inspect", "control"}:
        assert Panel.meta[given["command"]].type == name


@pytest.mark.parametrize("line", LINES)
def test_a_command_on_a_page_can_be_read(line):
    program, *arguments = words(line)
    match Path(program).name:
        case "make":
            assert set(arguments) <= TARGETS
        case "tickfarm":
            path, given = read_tickfarm(arguments)
            if path in (["follow"], ["fetch"]):
                provider = providers.get(given["provider"])
                named = given["instruments"] or ()
                has_patterns = any(map(is_pattern, named))
                call = check_call(provider.facts, given | {"instruments": () if has_patterns else named})
                if has_patterns:
                    assert provider.catalogue() is not None
                elif named or not given.get("file"):
                    check_names(provider, call.dataset, named, given["interval"])
        case "celery":
            read_celery(arguments)
        case "docker" | "cp" | "git" | "curl" | "pg_dump" | "pg_restore" | "psql" | "kubectl" | "systemctl":
            assert arguments
        case "python":
            assert arguments[:1] == ["-m"]
            assert (CHECKOUT / arguments[1] / "__main__.py").exists()
        case _:
            pytest.fail(f"teach this test what {program} is")


def test_every_target_of_the_makefile_does_what_can_be_done_here():
    for target in TARGETS - {"help"}:
        recipe = re.search(rf"^{target}:.*## .+\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
        assert recipe, f"make {target} has a recipe and says what it does"
    phony = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())
    assert phony == TARGETS
    assert "$(BIN)/tickfarm demo" in MAKEFILE
    listed = subprocess.run(["make"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert all(f"make {target} " in listed for target in TARGETS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_named_in_the_text_exists(page):
    for one in quoted(page):
        program, *arguments = one.split()
        if program == "make" and arguments:
            assert arguments[0] in TARGETS, one
        elif program == "tickfarm" and arguments:
            command = TICKFARM
            for word in arguments:
                if not hasattr(command, "commands"):
                    break
                assert word in command.commands, one
                command = command.commands[word]
        elif program == "celery" and arguments[:2] == ["-A", "tasks"]:
            assert arguments[2] in celery.commands, one


def test_commands_named_in_messages_and_settings_exist():
    texts = {**CODE, CHECKOUT / "cli.py": (CHECKOUT / "cli.py").read_text()}
    texts[CHECKOUT / ".env.example"] = (CHECKOUT / ".env.example").read_text()
    unknown = {
        (file.name, named)
        for file, text in texts.items()
        for named in re.findall(r"`tickfarm ([a-z]+)\b", text)
        if named not in TICKFARM.commands
    }
    assert unknown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_named_on_a_page_exists(page):
    for link in links(page):
        if not link.startswith(("http://", "https://", "#")):
            assert (page.parent / link.partition("#")[0]).exists(), link
    for one in quoted(page):
        is_path = re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)*/?", one) and "/" in one
        if is_path and ((CHECKOUT / one.partition("/")[0]).exists() or one.endswith(EXTENSIONS)):
            assert (CHECKOUT / one).exists() or (page.parent / one).exists(), one


def test_the_pages_that_a_visitor_expects_are_there_and_say_something():
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/operations.md"):
        assert len((CHECKOUT / name).read_text()) > 500, name
    assert "## Unreleased" in (CHECKOUT / "CHANGELOG.md").read_text()
    assert PROMISES in README.read_text()


def test_every_query_on_a_page_runs(database_url):
    address = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    session = psycopg2.connect(address)
    try:
        with session.cursor() as cursor:
            queries = [
                one for page in PAGES for block in blocks(page, "sql") for one in block.split(";") if one.strip()
            ]
            assert queries
            for query in queries:
                cursor.execute(query)
    finally:
        session.close()


def test_every_redis_key_stands_in_the_operators_page():
    documented = set(re.findall(r"^\| `(?:tickfarm):(\w+)", OPERATIONS.read_text(), re.MULTILINE))
    in_code = {name for text in CODE.values() for name in re.findall(r"""["']tickfarm:(\w+)""", text)}
    in_code |= {name for text in CODE.values() for name in re.findall(r"\{prefix\}:(\w+)", text)}
    assert in_code == documented
    assert app.conf.broker_transport_options["global_keyprefix"] == "farm:"
    assert "| `farm:*` |" in OPERATIONS.read_text()


def test_every_log_event_the_operators_page_speaks_of_is_logged_somewhere():
    (paragraph,) = re.findall(r"^- Logs \(JSON\):(.*?)\n\n", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)
    events = re.findall(r"`([a-z_]+)`", paragraph)
    assert events
    logged = {name for text in CODE.values() for name in re.findall(r'log\.\w+\(\s*"([a-z_]+)"', text)}
    assert set(events) <= logged


def test_every_setting_named_on_a_page_exists():
    known = {name.upper() for name in Settings.model_fields} | {"TICKFARM_HOME", "TICKFARM_ENV_FILE"}
    for page in PAGES:
        named = set(re.findall(r"\b(TICKFARM_[A-Z_]+|DATABASE_URL|REDIS_URL)\b", page.read_text()))
        kinds = {one for one in named if one.endswith("_") and any(name.startswith(one) for name in known)}
        of_providers = {one for one in named if one.startswith("TICKFARM_PROVIDERS__")}
        assert named - kinds - of_providers <= known, page.name


def test_the_demos_output_on_the_page_is_what_the_demo_says():
    (shown,) = [block for block in blocks(README, "text") if "tickfarm demo --exit" in block]
    said = (CHECKOUT / "local" / "demo.py").read_text()
    for sentence in ("starting PostgreSQL, Valkey, workers", "every one the source has, ", " s after the start"):
        assert sentence in shown
        assert sentence in said


def test_no_file_holds_a_path_of_somebodys_machine_or_a_private_package_index():
    somebody = re.compile(
        r"(?<![\w.])/(?:work|home/\w+|Users/\w+|root/\w+)/|index-url[= ]+http|https?://[^\s\"')]+/simple\b"
    )
    found = []
    for file in tracked():
        if file.suffix in {".gz", ".png", ".zst"} or file.name == Path(__file__).name:
            continue
        text = file.read_text(errors="replace")
        found += [f"{file.relative_to(CHECKOUT)}: {hit}" for hit in somebody.findall(text)]
    assert found == []
