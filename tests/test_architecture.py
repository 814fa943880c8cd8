"""The shape of the code: who may import whom, how long a file and a function may grow, what nothing is called.

Deliberately not here: the import rules themselves ([tool.importlinter] in pyproject.toml; single files at the top of
the tree, which import-linter does not take, are read here). Invariant: an exception stands in a list, with its reason.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from ingest.settings import CHECKOUT

PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
PACKAGES = sorted(file.parent.name for file in CHECKOUT.glob("[a-z]*/__init__.py") if file.parent.name != "tests")
SINGLES = sorted(file.stem for file in CHECKOUT.glob("*.py"))
FILES = [
    str(file.relative_to(CHECKOUT))
    for place in (*SINGLES, *PACKAGES, "tests")
    for file in ([CHECKOUT / f"{place}.py"] if place in SINGLES else sorted((CHECKOUT / place).rglob("*.py")))
]
OURS = [name for name in FILES if not name.startswith("tests/")]

LONGEST_FILE, LONGEST_FUNCTION = 400, 40
#: A migration is one list of statements, written once and never changed: cutting it would only hide the order.
MAY_BE_LONG = ("models/migrations/versions/",)
#: Names that say nothing about what is inside, so that everything ends up there.
SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "base", "manager", "managers", "misc", "core"}

#: What single files at the top may import of ours. The rest of the tree is import-linter's.
MAY_IMPORT = {
    "beat_schedule": set(),
    "celeryconfig": {"beat_schedule", "ingest.settings"},
    "cli": {"commands", "local"},
    "farm": {"celeryconfig", "ingest", "local", "models.session", "tasks"},
    "flowerconfig": set(),
}
#: Imports inside functions: (file, module) -> why it can't stand at the top.
INSIDE_FUNCTIONS = {
    ("commands/data.py", "commands.rows"): "polars, a sixth of a command's start, is for these commands alone",
    ("commands/replay.py", "ingest.pipeline.replay"): "the same: it loads polars",
    ("commands/imports.py", "ingest.pipeline.imports"): "the same",
    ("commands/imports.py", "ingest.pipeline.imports_times"): "the same",
    ("commands/coverage.py", "ingest.pipeline.scrub"): "the same",
    (
        "ingest/market/sessions.py",
        "ingest.market.exchanges",
    ): "pandas must not be loaded where no exchange is asked for",
    ("ingest/pipeline/context.py", "ingest.bucket"): "obstore may be absent",
    ("ingest/transport/client.py", "ingest.transport.pooled"): "each transport is loaded only where it is chosen",
    ("ingest/transport/client.py", "ingest.transport.curl"): "pycurl may be absent",
    ("local/start.py", "celeryconfig"): "it reads the servers' addresses, which are known only once they run",
    ("tasks/scrub.py", "ingest.pipeline.scrub"): "polars must not be loaded in a worker's parent",
    ("tasks/normalize.py", "ingest.pipeline.normalize"): "polars must not be loaded in a worker's parent",
    ("tasks/fetch.py", "ingest.pipeline.store"): "polars must not be loaded in a worker's parent",
    ("tasks/store.py", "ingest.pipeline.store"): "polars must not be loaded in a worker's parent",
}


@cache
def tree_of(name):
    """Return a file's syntax tree: read when a test asks, because every process of a run collects this file."""
    return ast.parse((CHECKOUT / name).read_text())


def imported(tree):
    """Return the modules a tree imports, `from a import b` as both `a` and `a.b`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_import_directions_hold():
    linter = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    done = subprocess.run(linter, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_of_the_project_is_under_contract_and_under_mypy_and_installed():
    contracts = PYPROJECT["tool"]["importlinter"]
    assert contracts["root_packages"] == PACKAGES
    assert sorted(PYPROJECT["tool"]["mypy"]["packages"]) == PACKAGES
    assert sorted(PYPROJECT["tool"]["mypy"]["modules"]) == SINGLES
    assert PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == [f"{name}*" for name in PACKAGES]
    assert PYPROJECT["tool"]["setuptools"]["py-modules"] == SINGLES


def test_every_room_of_the_core_has_its_layer():
    (layers,) = [one["layers"] for one in PYPROJECT["tool"]["importlinter"]["contracts"] if one["id"] == "layers"]
    named = {name.strip("() ") for layer in layers for name in layer.replace("|", ":").split(":")}
    rooms = {f"ingest.{path.stem}" for path in (CHECKOUT / "ingest").iterdir() if not path.stem.startswith("_")}
    assert rooms == {name for name in named if name.startswith("ingest.")}
    assert set(PACKAGES) - {"ingest", "sandbox", "benchmarks"} == named - rooms


@pytest.mark.parametrize("single", SINGLES)
def test_a_single_file_at_the_top_imports_only_what_is_below_it(single):
    ours = {name for name in imported(tree_of(f"{single}.py")) if name.split(".")[0] in {*PACKAGES, *SINGLES, "tests"}}
    allowed = MAY_IMPORT[single]
    assert not [name for name in ours if not any(f"{name}.".startswith(f"{one}.") for one in allowed)]


@pytest.mark.parametrize("stranger", ["cli", "tests", "sandbox", "benchmarks"])
def test_nothing_of_the_project_imports_the_command_the_tests_the_sandbox_or_the_benchmarks(stranger):
    importers = [
        name
        for name in OURS
        if not name.startswith(f"{stranger}/") and any(one.split(".")[0] == stranger for one in imported(tree_of(name)))
    ]
    # What the sandbox says of itself is what the conformance grid compares with; benchmarks are no part of the product.
    assert [name for name in importers if stranger != "sandbox" or not name.startswith("benchmarks/")] == []


def test_only_the_shell_and_its_configuration_know_celery():
    knowing = {
        Path(name).parts[0]
        for name in OURS
        if any(one.split(".")[0] in {"celery", "kombu", "billiard"} for one in imported(tree_of(name)))
    }
    assert knowing - {"benchmarks"} == {"tasks", "beat_schedule.py", "celeryconfig.py", "cli.py"}


def test_a_workers_parent_never_loads_polars_because_forked_children_would_hang_nor_pandas_which_is_slow():
    code = "import sys; from tasks import app; app.finalize(); app.loader.import_default_modules()"
    code += "; import tasks.scheduler, tasks.consumer; sys.exit(len({'polars', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=CHECKOUT, check=False).returncode == 0


def test_imports_stand_at_the_top_unless_a_reason_is_listed_here():
    found = {
        (name, module)
        for name in OURS
        for function in functions(tree_of(name))
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    assert found == INSIDE_FUNCTIONS.keys(), "move the import to the top, or list it with its reason (or take it off)"


def test_no_file_outgrows_its_budget():
    long = {name: size for name in FILES if (size := len((CHECKOUT / name).read_text().splitlines())) > LONGEST_FILE}
    assert long == {}, f"a file has {LONGEST_FILE} lines at most (250 as a rule): split it by what it is about"


def test_no_function_outgrows_its_budget():
    long = [
        f"{name}:{function.lineno} {function.name} has {size} lines"
        for name in FILES
        if not name.startswith(MAY_BE_LONG)
        for function in functions(tree_of(name))
        if (size := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    ]
    assert long == [], f"a function has {LONGEST_FUNCTION} lines at most: give its steps names"


def test_no_name_says_nothing():
    assert not [name for name in FILES if SAY_NOTHING & {part.removesuffix(".py") for part in Path(name).parts}]


def test_no_package_at_the_top_hides_a_module_of_the_standard_library():
    assert not {*PACKAGES, *SINGLES} & set(sys.stdlib_module_names)


def test_every_file_begins_by_saying_what_is_here():
    silent = [name for name in FILES if not (ast.get_docstring(tree_of(name)) or "").strip()]
    assert silent == [], "begin with a docstring: what is here, what is deliberately not, the one invariant"
    headless = [file for file in CHECKOUT.glob("ingest/**/*.lua") if not file.read_text().startswith("--")]
    assert headless == []
