"""A test's name is a sentence that fits on a line of a report, and a test calls functions of the store, not scripts."""

import ast
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
RUNS_SCRIPTS = {"eval", "evalsha", "run_sync"}


@cache
def trees():
    """Parse all tests, once and not in each process that collects this module."""
    paths = FOLDER.rglob("test_*.py")
    return {path.relative_to(FOLDER): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def runs_a_script(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="scripts"), attr="run")):
            return True
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in RUNS_SCRIPTS
    return False


def test_a_test_name_is_shorter_than_seventy_characters():
    names = [
        (path, node.name)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert len(names) > 1000
    assert [f"{path}::{name}" for path, name in names if len(name) >= 70] == []


def test_no_test_runs_a_script_by_itself():
    """Catches a test that repeats the arguments of a script, which its function in the store knows."""
    outside = {path: tree for path, tree in trees().items() if path.parts[0] != "contract"}
    assert [path for path, tree in outside.items() if any(map(runs_a_script, ast.walk(tree)))] == []


@pytest.mark.parametrize("code", ["scripts.run(c, 'pop')", "run_sync(c, 'pop')", "c.evalsha('x', 0)", "c.eval('x', 0)"])
def test_a_call_of_a_script_is_found(code):
    assert runs_a_script(ast.parse(code, mode="eval").body)
