"""The Compose stack passes on the variables of `.env.example`, and builds its image once."""

import re
from pathlib import Path

import pytest
import yaml

from local import up
from local.up import COMPOSE_FILE
from shared.configuration.settings import HTTP_SETTINGS, SubmitSettings, WorkerSettings

ROOT = Path(__file__).parents[2]
EXAMPLE = set(re.findall(r"^#([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
DOCUMENT = yaml.load(COMPOSE_FILE.read_text(encoding="utf-8"), yaml.CSafeLoader)
SERVICES = DOCUMENT["services"]
GATEWAY, WORKER = SERVICES["gateway"]["environment"], SERVICES["worker"]["environment"]

# Set by the image, by the stack's own REDIS_URL, or used for the published port: docs/deploy.md names them.
DECIDED = {"HOST", "SPOOL_DIR", "REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "PORT"}
# Common settings that the worker does not use.
OF_THE_API = {"AUTH_ENABLED", "METRICS_ENABLED", "ALLOWED_HOSTS"}
OF_THE_PLATFORM = {"ECS_AGENT_URI"}


def test_every_other_variable_of_the_example_reaches_a_container():
    assert EXAMPLE - set(GATEWAY) - set(WORKER) == DECIDED - {"REDIS_URL"}


def test_variables_set_by_the_stack_are_documented():
    documentation = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    assert [name for name in sorted(DECIDED) if f"`{name}`" not in documentation] == []


@pytest.mark.parametrize("settings", HTTP_SETTINGS, ids=lambda settings: settings.__name__)
def test_the_gateway_gets_every_variable_it_reads(settings):
    assert {name.upper() for name in settings.model_fields} - DECIDED <= set(GATEWAY)


def test_the_worker_gets_every_variable_it_reads():
    names = {name.upper() for one in (WorkerSettings, SubmitSettings) for name in one.model_fields}
    assert names - DECIDED - OF_THE_API - OF_THE_PLATFORM <= set(WORKER)


def test_other_variables_pass_through_or_have_a_default():
    for environment in (GATEWAY, WORKER):
        for name in EXAMPLE & set(environment) - DECIDED:
            value = environment[name]
            assert value is None or value.startswith(f"${{{name}"), name


def test_the_image_is_built_by_one_service_and_never_pulled_by_the_others():
    users = {name: one for name, one in SERVICES.items() if one["image"] == "claude-gateway:local"}
    assert set(users) == {"gateway", "worker", "demo-model"}
    assert [name for name, one in users.items() if "build" in one] == ["gateway"]
    assert {name for name, one in users.items() if one.get("pull_policy") == "never"} == {"worker", "demo-model"}


def test_the_optional_worker_env_file_reaches_only_the_worker():
    given = {name: one["env_file"] for name, one in SERVICES.items() if "env_file" in one}
    assert given == {"worker": [{"path": "../.data/worker.env", "required": False}]}


def test_every_foreign_image_can_be_pinned_by_digest():
    """Catches an image that an operator could pin only by editing a file of the project."""
    images = {one["image"] for one in SERVICES.values()} - {"claude-gateway:local"}
    pinned = dict(re.findall(r"^\$\{([A-Z]+_IMAGE):-([^}]+)\}$", "\n".join(images), re.MULTILINE))
    assert len(pinned) == len(images)
    assert set(pinned) == {"VALKEY_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE"}
    assert up._IMAGES.items() <= pinned.items()
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    [base] = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", dockerfile, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert SERVICES["gateway"]["build"]["args"] == {"PYTHON_IMAGE": f"${{PYTHON_IMAGE:-{base}}}"}
    documented = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    assert {name for name in (*pinned, "PYTHON_IMAGE") if f"`{name}`" not in documented} == set()
