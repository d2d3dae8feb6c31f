"""Imports point one way: functions to shared, local to both, and nothing to local or to another function."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for room in ("functions", "shared", "local") for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_lies_below_it(path: Path):
    room, *rest = path.relative_to(ROOT).parts
    for name in imported(path):
        target, *inner = name.split(".")
        if target == "local":
            assert room == "local", f"{path} imports {name}"
        if target == "functions":
            assert room == "local" or (room == "functions" and inner[0] == rest[0]), f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_ends_before_three_hundred_lines(path: Path):
    assert len(path.read_text().splitlines()) <= 300


# Routes that still call the store. None may be added; one that no longer does must be removed.
ROUTES_WITH_STORE = {"admin/routes.py", "batches/routes.py", "batches/anthropic_routes.py"}


def test_only_the_listed_routes_call_the_store():
    routes = {
        str(path.relative_to(ROOT / "functions")): {name.partition(".")[0] for name in imported(path)} | imported(path)
        for path in MODULES
        if path.name.endswith("routes.py") and "functions" in path.parts
    }
    found = {
        path
        for path, names in routes.items()
        if any(name == "redis" or name.startswith("shared.store.") for name in names)
    }
    assert found == ROUTES_WITH_STORE


def test_no_service_knows_http():
    services = [path for path in MODULES if path.name == "service.py" or "services" in path.parts]
    web = ("fastapi", "starlette", "shared.http")
    assert [path for path in services if any(name.startswith(web) for name in imported(path))] == []


def test_only_the_store_names_redis_keys():
    for path in MODULES:
        if "store" not in path.parts:
            assert '"cg:' not in path.read_text(), path


def test_submit_and_status_import_nothing_that_slows_a_cold_start():
    # In its own process, because this one has imported everything.
    import subprocess
    import sys

    heavy = ("httpx", "boto3", "prometheus_client", "claude_agent_sdk", "rq", "typer", "uvicorn")
    for function in ("submit", "status"):
        code = f"import sys, functions.{function}.app; print([m for m in {heavy!r} if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]", f"{function} imports {done.stdout}"
