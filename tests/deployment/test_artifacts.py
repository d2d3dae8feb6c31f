"""The output of `sam build` is small and complete, and has only the function's current code."""

import zipfile

import pytest

from tests.support.sam import run_sam

NAMES = ("submit", "status", "webhook", "batches", "openai", "anthropic", "admin", "credentials", "files", "schedules")
LIMIT = 12 * 1024 * 1024


def artifact(build, name):
    return build / f"{name.capitalize()}Function"


@pytest.mark.parametrize("name", NAMES)
def test_a_zip_is_small(build, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in artifact(build, name).rglob("*"):
            archive.write(path, path.relative_to(artifact(build, name)))
    assert (tmp_path / "zip").stat().st_size < LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_an_artifact_holds_its_function_what_is_shared_and_libraries(build, name):
    top = {path.name for path in artifact(build, name).iterdir()}
    assert {"functions", "shared", "fastapi", "mangum", "redis"} <= top
    assert not top & {
        "tests",
        "local",
        "docs",
        "requirements",
        "rq",
        "claude_agent_sdk",
        "httpx",
        "botocore",
        "bin",
        ".git",
        ".env",
    }
    assert {path.name for path in (artifact(build, name) / "functions").iterdir()} == {"__init__.py", name}
    # Wheels for Lambda's Python, whichever Python built them.
    libraries = [path.name for path in artifact(build, name).rglob("*.so")]
    assert libraries
    assert all("cpython-313-x86_64" in name or ".abi3." in name for name in libraries)


def test_a_change_in_shared_is_in_the_next_build(build, checkout):
    with (checkout / "shared/api/times.py").open("a", encoding="utf-8") as file:
        file.write("\nCHANGED = True\n")
    run_sam("build", "SubmitFunction", "--build-dir", "second", "--config-file", "samconfig.toml", cwd=checkout)
    assert "CHANGED = True" in (artifact(checkout / "second", "submit") / "shared/api/times.py").read_text(
        encoding="utf-8"
    )
