"""Continuous integration, hooks and update bots refer to files and targets that exist, and pin what they take."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.benchmarks.__main__ import PARTS

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"(?m)^([a-z-]+):(?!=)", MAKEFILE))
HOSTS = re.compile(r"(?m)^[^#\s].*(?:https?://|index-url).*$")


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def steps() -> list[dict[str, Any]]:
    return [step for job in load(".github/workflows/ci.yaml")["jobs"].values() for step in job["steps"]]


def test_the_workflow_runs_ci_run_and_targets_that_exist():
    commands = [step["run"] for step in steps() if "run" in step]
    assert ".ci/run" in commands
    assert {command.split()[1] for command in commands if command.startswith("make ")} <= TARGETS


def test_ci_run_names_targets_that_exist():
    lines = re.findall(r"(?m)^(?:beside|stages) ([a-z -]+)$", (ROOT / ".ci/run").read_text(encoding="utf-8"))
    named = {word for line in lines for word in line.split() if word != "--"}
    assert {"lint", "test", "deployment", "slow-short"} <= named <= TARGETS


def test_the_workflow_tests_every_supported_python():
    jobs = load(".github/workflows/ci.yaml")["jobs"]
    [setup] = [step for step in jobs["everything"]["steps"] if "setup-python" in step.get("uses", "")]
    tested = [setup["with"]["python-version"], *jobs["python"]["strategy"]["matrix"]["python"]]
    supported = re.search(r"PYTHONS \?= (.*)", MAKEFILE)
    assert supported
    assert [f"python{version}" for version in tested] == supported[1].split()


def test_actions_are_pinned_by_commit():
    """A tag can be moved to other code after it was reviewed."""
    used = [step["uses"] for step in steps() if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []


def test_the_workflow_can_only_read():
    assert load(".github/workflows/ci.yaml")["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(
    ("ecosystem", "manifest"),
    [
        ("pip", "pyproject.toml"),
        ("npm", "package.json"),
        ("docker", "Dockerfile"),
        ("docker-compose", "compose.yaml"),
        ("github-actions", ".github/workflows/ci.yaml"),
    ],
)
def test_dependabot_looks_where_versions_are_pinned(ecosystem, manifest):
    [update] = [one for one in load(".github/dependabot.yaml")["updates"] if one["package-ecosystem"] == ecosystem]
    folders = update.get("directories", [update.get("directory")])
    found = [ROOT / folder.strip("/") for folder in folders]
    assert [folder for folder in found if not (folder / manifest).is_file()] == []
    if ecosystem == "npm":
        assert {path.parent for path in ROOT.glob("tests/*/package.json")} == set(found)


def test_the_hooks_of_commits_are_the_targets_of_make_lint():
    hooks = [hook for repository in load(".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]]
    called = {hook["entry"].split()[-1] for hook in hooks}
    lint = re.search(r"(?m)^lint: ([a-z -]+?)\s+##", MAKEFILE)
    assert lint
    assert called == set(lint[1].split()) <= TARGETS


def test_the_hooks_download_nothing():
    configuration = load(".pre-commit-config.yaml")
    assert [repository["repo"] for repository in configuration["repos"]] == ["local"]
    assert {hook["language"] for hook in configuration["repos"][0]["hooks"]} == {"system"}


@pytest.mark.parametrize("folder", ["tests/clients", "tests/frameworks", "tests/lint"])
def test_npm_packages_are_pinned_without_a_registry(folder):
    """A lock file that names a registry installs from that registry only."""
    lock = (ROOT / folder / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    packages = json.loads(lock)["packages"]
    for name, version in json.loads((ROOT / folder / "package.json").read_text())["devDependencies"].items():
        assert packages[f"node_modules/{name}"]["version"] == version
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements/*.txt")), ids=lambda path: path.stem)
def test_python_packages_are_pinned_without_a_registry(path):
    assert HOSTS.findall(path.read_text(encoding="utf-8")) == []


def test_requirements_are_upgraded_only_on_request():
    [command] = re.findall(r"uv pip compile.*(?:\\\n.*)*", MAKEFILE)
    assert "$(if $(UPGRADE),--upgrade)" in command
    assert command.count("--upgrade") == 1


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_the_benchmark_can_be_measured(part):
    """Catches a part that `make bench` would miss only after an hour."""
    assert callable(importlib.import_module(f"tests.benchmarks.{part}").measure)
