"""Each command checks its own variables at the start: a line for each error, status 2 and no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.configuration.settings import ALL_SETTINGS
from tests.support.parameters import first_of, long

ROOT = Path(__file__).parents[2]
SECRETS = {"ADMIN_PASSWORD": "hunter2", "WEBHOOK_SECRET": "hunter2", "REDIS_URL": "redis://:hunter2#@h"}

pytestmark = pytest.mark.once


@pytest.fixture
def start(tmp_path):
    def run(*command, program="local", **variables):
        unset = {name.upper() for one in ALL_SETTINGS for name in one.model_fields}
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        return subprocess.run(
            [sys.executable, "-m", program, *command],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT), **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def _lines(done):
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.parametrize("command", first_of(["local", "api", "worker"]))
def test_a_server_reports_every_wrong_setting_and_no_secret(start, command):
    lines = _lines(start(command, **SECRETS, ADMIN_ENABLED="true", CLAUDE_TIMEOUT="2m", LOG_LEVEL="loud"))
    names = {line.partition(":")[0] for line in lines}
    assert {"REDIS_URL", "CLAUDE_TIMEOUT", "LOG_LEVEL"} <= names
    assert ("ADMIN_PASSWORD" in names) == (command != "worker")
    assert ("WEBHOOK_SECRET" in names) == (command != "api")
    assert len(lines) == len(set(lines))
    assert "hunter2" not in "".join(lines)


def test_the_worker_module_and_keys_report_the_settings_they_read(start):
    (line,) = _lines(start(program="functions.worker", QUEUE_CONCURRENCY="many"))
    assert line.startswith("QUEUE_CONCURRENCY: ")
    (line,) = _lines(start("keys", "list", REDIS_URL="http://:hunter2@h"))
    assert line.startswith("REDIS_URL: ")
    # It does not read that variable, and no Redis listens there.
    assert start("keys", "list", QUEUE_CONCURRENCY="many", REDIS_URL="redis://127.0.0.1:1").returncode == 1


@pytest.mark.parametrize(
    ("command", "variable"), [("worker", {"PORT": "tcp://10.0.0.1:3000"}), ("api", {"QUEUE_CONCURRENCY": "many"})]
)
def test_a_variable_of_another_command_stops_no_start(start, command, variable):
    lines = _lines(start(command, **variable, LOG_FORMAT="xml"))
    assert [line.partition(":")[0] for line in lines] == ["LOG_FORMAT"]


@pytest.mark.parametrize("command", first_of([["local"], ["ask", "hello"], ["api"], ["worker"], ["keys", "list"]], 2))
@pytest.mark.parametrize("content", [None, long("PORT=3000\n".encode("utf-16"))], ids=["directory", "utf-16"])
def test_a_dotenv_file_that_cannot_be_read_ends_every_command(start, tmp_path, command, content):
    if content is None:
        (tmp_path / ".env").mkdir()
    else:
        (tmp_path / ".env").write_bytes(content)
    (line,) = _lines(start(*command))
    assert line.startswith(".env: is ")


@pytest.mark.parametrize("command", first_of(["worker", "local"]))
def test_an_unreadable_credential_file_is_named(start, tmp_path, command):
    (tmp_path / "empty").touch()
    for path in ("/missing/hunter2", str(tmp_path / "empty"), str(tmp_path)):
        (line,) = _lines(start(command, ANTHROPIC_API_KEY_FILE=path))
        assert line.startswith("ANTHROPIC_API_KEY_FILE: the file that it names")
        assert path not in line


@pytest.mark.parametrize(
    ("command", "program"), first_of([("local", "local"), ("worker", "local"), (None, "functions.worker")])
)
def test_an_invalid_command_ends_the_worker(start, command, program):
    (line,) = _lines(start(*([command] if command else []), program=program, CLAUDE_COMMAND="/nowhere/claude"))
    assert line.startswith("CLAUDE_COMMAND: should be the path of a program")


def test_the_webhook_secret_of_the_receiver_is_checked_and_not_echoed(start):
    (line,) = _lines(start("webhooks", "listen", WEBHOOK_SECRET="hunter2"))
    assert line.startswith("WEBHOOK_SECRET: should be whsec_")
    assert "hunter2" not in line


def test_a_misspelled_name_is_reported_before_other_errors(start, tmp_path):
    (tmp_path / ".env").write_text("QUEUE_CONCURENCY=3\n")
    first, second = _lines(start("worker", QUEUE_CONCURRENCY="many"))
    assert first.endswith("did you mean QUEUE_CONCURRENCY?")
    assert second.startswith("QUEUE_CONCURRENCY: ")


def test_a_redis_port_of_kubernetes_stops_no_local_gateway(start):
    lines = _lines(start("local", REDIS_PORT="tcp://10.0.0.1:6379", LOG_FORMAT="xml"))
    assert [line.partition(":")[0] for line in lines] == ["LOG_FORMAT"]


def test_a_host_that_is_not_local_is_named(start):
    (line,) = _lines(start("api", HOST="192.0.2.1", REDIS_URL="redis://127.0.0.1:1"))
    assert line.startswith("HOST: 192.0.2.1 cannot be used: ")


def test_a_lambda_function_with_wrong_settings_ends_at_its_start(tmp_path):
    environment = {**os.environ, "AWS_LAMBDA_FUNCTION_NAME": "submit", "PYTHONPATH": str(ROOT)} | SECRETS
    done = subprocess.run(
        [sys.executable, "-c", "import functions.submit.app"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    (line,) = _lines(done)
    assert line.startswith("REDIS_URL: ")


def test_a_lambda_function_collects_garbage_after_its_start(tmp_path):
    environment = {**os.environ, "AWS_LAMBDA_FUNCTION_NAME": "submit", "PYTHONPATH": str(ROOT)} | SECRETS
    environment["REDIS_URL"] = "redis://127.0.0.1:1"
    code = "import gc, functions.submit.app; print(gc.isenabled(), gc.get_freeze_count() > 100_000)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "True"], done.stderr
