"""A test's name is a sentence that fits on a line of a report."""

import ast
from pathlib import Path

FOLDER = Path(__file__).parents[1]


def test_a_test_name_is_shorter_than_seventy_characters():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.rglob("test_*.py")}
    names = [
        (path.relative_to(FOLDER), node.name)
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert len(names) > 1000
    assert [f"{path}::{name}" for path, name in names if len(name) >= 70] == []
