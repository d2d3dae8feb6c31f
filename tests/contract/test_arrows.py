"""Imports point one way: functions to shared, local to both, and nothing to local or to another function."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("functions", "shared", "local")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@cache
def tree(path: Path) -> ast.AST:
    return ast.parse(path.read_text())


@cache
def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import():
                names.update(alias.name for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                names.update(f"{module}.{alias.name}" for alias in node.names)
            case ast.ImportFrom():
                pytest.fail(f"{path}: a relative import hides which way it points")
            case _:
                pass
    return names


def test_a_module_imports_only_what_lies_below_it():
    for path in MODULES:
        room, *rest = path.relative_to(ROOT).parts
        for name in imported(path):
            target, *inner = name.split(".")
            if target == "local":
                assert room == "local", f"{path} imports {name}"
            if target == "functions":
                assert room == "local" or (room == "functions" and inner[0] == rest[0]), f"{path} imports {name}"


def test_a_module_ends_before_three_hundred_lines():
    assert [path for path in MODULES if len(path.read_text().splitlines()) > 300] == []


def is_store(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] == "redis" or name.startswith("shared.store.")


def test_no_route_calls_the_store():
    """Catches a store call in a module that declares routes: it belongs into a service."""
    routes = [path for path in MODULES if "fastapi.APIRouter" in imported(path) and "functions" in path.parts]
    assert {path.name for path in routes} >= {"routes.py", "pages.py", "start.py"}
    assert [path for path in routes if any(map(is_store, imported(path)))] == []


def test_no_service_knows_http():
    services = [path for path in MODULES if path.name == "service.py" or "services" in path.parts]
    web = ("fastapi", "starlette", "shared.http")
    assert [path for path in services if any(name.startswith(web) for name in imported(path))] == []


OUTSIDE_THE_STORE = [path for path in MODULES if "store" not in path.relative_to(ROOT).parts]
# Constants of `shared.store.keys` that are not names of keys.
CONSTANTS = {"ANONYMOUS", "BUCKETS"}


def trees(paths: list[Path]) -> dict[str, ast.AST]:
    return {str(path.relative_to(ROOT)): tree(path) for path in paths}


def strings(tree: ast.AST) -> list[str]:
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def attributes(tree: ast.AST, module: str) -> set[str]:
    """Return the names that are read from an imported module."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
    }


def test_only_the_store_names_redis_keys():
    """Catches a name of a key in a place that a rename in the store does not reach."""
    found = trees(OUTSIDE_THE_STORE)
    assert [path for path, tree in found.items() if any(text.startswith("cg:") for text in strings(tree))] == []
    users = [path for path in OUTSIDE_THE_STORE if "shared.store.keys" in imported(path)]
    assert [path for path, tree in trees(users).items() if attributes(tree, "keys") - CONSTANTS] == []


def test_scripts_take_names_of_keys_from_one_file():
    """Catches a name of a key in a script that is not `names.lua`."""
    scripts = [path for path in (ROOT / "shared").rglob("*.lua") if path.stem != "names"]
    assert len(scripts) > 30
    assert [path.stem for path in scripts if "cg:" in path.read_text()] == []


def test_only_the_store_runs_scripts():
    """Catches a script that is called by position outside the module that knows its arguments."""
    runs = [path for path in OUTSIDE_THE_STORE if any("store.redis.scripts" in name for name in imported(path))]
    assert runs == []


def test_only_the_plan_of_a_run_reads_the_stored_request():
    """Catches a part of the worker that looks into the request instead of the plan."""
    worker = trees([path for path in MODULES if "worker" in path.parts and path.name != "plan.py"])
    reads = {
        path
        for path, tree in worker.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "request" and ast.unparse(node.value) != "urllib"
    }
    assert reads == {"functions/worker/jobs/attempt.py"}  # it makes the plan


def private_names(tree: ast.AST) -> list[str]:
    """Return the private names that a module imports from modules of the project."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}" for node in imports for alias in node.names]
    names = [name for name in names if name.split(".")[0] in ROOMS]
    return [name for name in names if any(part.startswith("_") for part in name.split("."))]


def test_no_module_imports_a_private_name():
    """Catches a module that depends on what another one may change at any time."""
    assert [(path, names) for path, tree in trees(MODULES).items() if (names := private_names(tree))] == []


def test_submit_and_status_import_nothing_that_slows_a_cold_start():
    # In its own process, because this one has imported everything.
    import subprocess
    import sys

    heavy = ("httpx", "boto3", "prometheus_client", "claude_agent_sdk", "rq", "typer", "uvicorn", "nacl")
    for function in ("submit", "status", "credentials"):
        code = f"import sys, functions.{function}.app; print([m for m in {heavy!r} if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]", f"{function} imports {done.stdout}"


def test_the_pool_imports_nothing_that_only_slots_need():
    """Catches half a second and 30 MB of the process that starts the slots, which runs no CLI itself."""
    import subprocess
    import sys

    code = "import sys, functions.worker.pool.pool; print([m for m in ('claude_agent_sdk', 'mcp') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_runs_know_nothing_of_the_jobs_that_they_are_for():
    """Catches an import of jobs or the pool in the worker's lower packages, which jobs and the pool use."""
    lower = [
        path for path in MODULES if path.parts[-3:-1] in {("worker", "cli"), ("worker", "relay"), ("worker", "sandbox")}
    ]
    above = ("functions.worker.jobs", "functions.worker.pool")
    assert lower
    assert [path for path in lower if any(name.startswith(above) for name in imported(path))] == []
