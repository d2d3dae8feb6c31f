"""`make up` without Docker: reading of `.env`, and printed messages."""

import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from local import up
from tests.support.processes import running


@pytest.fixture(autouse=True)
def calls(monkeypatch, tmp_path):
    """Use a folder of the test, and return the environments of the calls of Compose."""
    monkeypatch.setattr(up, "_ROOT", tmp_path)
    monkeypatch.setattr(up, "_SECRETS", tmp_path / ".data/compose.env")
    monkeypatch.setattr(up, "_DOTENV", tmp_path / ".env")
    for name in (
        *up.CREDENTIALS,
        *up._KEY_PAIR,
        "ADMIN_ENABLED",
        "ADMIN_USERNAME",
        "ADMIN_PASSWORD",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ):
        monkeypatch.delenv(name, raising=False)
    seen = []

    class Done:
        returncode, stdout = 0, "127.0.0.1:3000"

    def run(command, env=None, **_options):
        if env is not None:
            seen.append(env)
        return Done()

    monkeypatch.setattr(subprocess, "run", run)
    return seen


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("export NAME=value", "value"),
        ("  export   NAME = value  ", "value"),
        ("NAME='a # b'", "a # b"),
        ('NAME="a=b" # said why', "a=b"),
        ("NAME=value # said why", "value"),
        ("NAME=a#b", "a#b"),
        ("NAME=", ""),
        ("#NAME=value", ""),
        ("OTHER_NAME=value", ""),
        ("exportNAME=value", ""),
        ("NAME=first\nNAME=last", "last"),
    ],
)
def test_a_dotenv_line_is_read_as_by_the_gateway(tmp_path, line, value):
    (tmp_path / ".env").write_text(line + "\n")
    assert up.setting("NAME") == value
    assert (dotenv_values(tmp_path / ".env").get("NAME") or "") == value


def test_a_credential_in_the_dotenv_file_disables_the_demo_model(tmp_path, calls, capsys):
    (tmp_path / ".env").write_text("export ANTHROPIC_API_KEY=key\n")
    assert up.main("up") == 0
    assert "demo model" not in capsys.readouterr().err
    assert all("ANTHROPIC_BASE_URL" not in environment for environment in calls)


@pytest.mark.parametrize(
    ("environment", "written", "message"),
    [
        ({}, "", "user admin, password in .data/compose.env"),
        ({"ADMIN_USERNAME": "ops"}, "ADMIN_PASSWORD=of-the-file\n", "user ops, password in .env"),
        ({"ADMIN_PASSWORD": "given"}, "ADMIN_PASSWORD=of-the-file\n", "user admin, password in the environment"),
        ({"ADMIN_ENABLED": "false"}, "", "no dashboard"),
        ({}, "ADMIN_ENABLED=False\n", "no dashboard"),
    ],
)
def test_the_dashboard_user_and_the_password_file_are_printed(
    monkeypatch, tmp_path, capsys, environment, written, message
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text(written)
    up.main("up")
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(("vertex", "passed_on"), [("1", True), ("", False)])
def test_a_google_key_reaches_the_workers_only_with_vertex(monkeypatch, tmp_path, calls, vertex, passed_on):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "keys/google.json")
    monkeypatch.setenv("CLAUDE_CODE_USE_VERTEX", vertex)
    up.main("up")
    assert calls[-1].get("VERTEX_KEY_FILE") == (str(tmp_path / "keys/google.json") if passed_on else None)


@pytest.mark.parametrize(("others", "left"), [([], False), (["worker.env"], True)])
def test_down_removes_only_the_folders_it_created(tmp_path, others, left):
    up.main("up")
    for name in others:
        (tmp_path / ".data" / name).touch()
    assert up.main("down") == 0
    assert (tmp_path / ".data").exists() is left
    assert not (tmp_path / ".data/compose.env").exists()


PAIR = ["CREDENTIALS_PUBLIC_KEY=public=", "CREDENTIALS_PRIVATE_KEY=private="]


@pytest.fixture
def image(monkeypatch):
    """Let the image print a key pair, and return the commands that were run."""
    commands = []

    def run(command, **_options):
        commands.append(command)
        printed = "\n".join(PAIR) + "\n" if "key-pair" in command else "127.0.0.1:3000"
        return subprocess.CompletedProcess(command, 0, printed)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_make_up_makes_one_key_pair_for_credentials(tmp_path, image):
    """Catches a stack that stores no credential, or a pair that changes and opens nothing any more."""
    for _ in range(2):
        assert up.main("up") == 0
    own = tmp_path / ".data/compose.env"
    assert [line for line in own.read_text().splitlines() if line.startswith("CREDENTIALS")] == PAIR
    assert own.stat().st_mode & 0o777 == 0o600
    made = [command for command in image if "key-pair" in command]
    assert len(made) == 1
    assert made[0][:6] == ["docker", "run", "--rm", "--network", "none", "claude-gateway:local"]
    built = next(command for command in image if command[-2:] == ["build", "gateway"])
    assert image.index(built) < image.index(made[0])


@pytest.mark.parametrize("name", up._KEY_PAIR)
def test_make_up_leaves_a_given_key_alone(tmp_path, image, name):
    (tmp_path / ".env").write_text(f"{name}=given\n")
    assert up.main("up") == 0
    assert not [command for command in image if "key-pair" in command]
    assert "CREDENTIALS" not in (tmp_path / ".data/compose.env").read_text()


def test_make_up_continues_without_a_key_pair(tmp_path, calls, capsys):
    """Catches a stack that does not start with an older image."""
    assert up.main("up") == 0
    assert "without callers' credentials" in capsys.readouterr().err
    assert "CREDENTIALS" not in (tmp_path / ".data/compose.env").read_text()


def test_make_up_needs_only_the_standard_library():
    """Catches an import of a package, with which `make up` would fail where the project is not installed."""
    # Isolated and without site packages: only the standard library and the project's own files.
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r}); import local.up"
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stderr=subprocess.PIPE, text=True)
    with running(process) as child:
        assert child.communicate()[1] == ""
