"""The version has one source, and the package, the OpenAPI document and the changelog agree with it."""

import json
import re
from pathlib import Path

import pytest
from setuptools.config.pyprojecttoml import read_configuration

from shared.version import VERSION

ROOT = Path(__file__).parents[2]


def released(changelog: str) -> list[str]:
    """Return the versions of a changelog's headings, which must be Unreleased first, then versions with dates."""
    first, *others = re.findall(r"(?m)^## (.*)$", changelog)
    assert first == "[Unreleased]"
    found = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}", heading) for heading in others]
    assert None not in found, others
    return [match[1] for match in found if match]


def parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_the_version_is_a_semantic_version():
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", VERSION)


def test_the_package_reads_its_version_from_the_source():
    assert read_configuration(ROOT / "pyproject.toml", expand=True)["project"]["version"] == VERSION


def test_the_openapi_document_has_the_version():
    assert json.loads((ROOT / "shared/http/openapi.json").read_text(encoding="utf-8"))["info"]["version"] == VERSION


def test_the_newest_release_of_the_changelog_is_the_version():
    versions = released((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert versions == sorted(versions, key=parts, reverse=True)
    # Before the first release there is no heading with a version.
    assert versions[:1] == [VERSION] or (versions, VERSION) == ([], "0.1.0")


@pytest.mark.parametrize(
    "headings", ["## [1.0.0] - 2026-11-26", "## [Unreleased]\n## 1.0.0", "## [Unreleased]\n## [1.0.0]", "## Unreleased"]
)
def test_a_heading_of_another_form_is_found(headings):
    with pytest.raises(AssertionError):
        released(headings)
