"""`.env.example` lists every variable: those of the contract, and those that the code reads."""

import re
from pathlib import Path

import pytest

from shared.configuration.settings import ALL_SETTINGS

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
GATEWAY, CREDENTIALS = EXAMPLE.split("# Credentials of the Claude CLI")
VARIABLE = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)

# The configuration of the API's contract, in its order.
CONTRACT = re.findall(
    r"\w+",
    """
    PORT REDIS_HOST REDIS_PORT REDIS_URL REDIS_PASSWORD QUEUE_CONCURRENCY CACHE_TTL CLAUDE_TIMEOUT
    METRICS_ENABLED ADMIN_ENABLED MCP_ENABLED DEDUP_ENABLED HOST AUTH_ENABLED ADMIN_USERNAME ADMIN_PASSWORD
    CLAUDE_COMMAND CLAUDE_MAX_RETRIES CLAUDE_WARM CLAUDE_MODEL CLAUDE_MODELS CLAUDE_TOOLS MAX_BUDGET_USD MCP_CONFIG
    MAX_QUERY_BYTES MAX_BODY_BYTES MAX_OUTPUT_BYTES MAX_QUEUE_DEPTH RATE_LIMIT RESULT_TTL SESSION_TTL
    WEBHOOK_SECRET WEBHOOK_RETRY_SCHEDULE WEBHOOK_ALLOWED_NETWORKS LOG_LEVEL LOG_FORMAT SHUTDOWN_GRACE WEB_CONCURRENCY
    """,
)
# Variables that the project adds.
ADDED = [
    "AGENTS_DIR",
    "SKILLS_DIR",
    "CLAUDE_SILENCE_TIMEOUT",
    "MAX_RUN_MEMORY",
    "MAX_RUN_PROCESSES",
    "MAX_WORKSPACE_BYTES",
    "RUN_SANDBOX",
    "RUN_READ_PATHS",
    "RUN_ALLOWED_HOSTS",
    "RUN_ALLOWED_NETWORKS",
    "MAX_RUN_NETWORK_BYTES",
    "SPOOL_DIR",
    "FILES_URL",
    "MAX_FILE_BYTES",
    "FILES_TTL",
    "MAX_CALLER_FILE_BYTES",
    "WEBHOOK_DISABLE_AFTER",
    "METRICS_AUTH",
    "ALLOWED_HOSTS",
    "KEEP_ALIVE_TIMEOUT",
    "MAX_CONNECTIONS",
    "ADMIN_VIEWER_PASSWORD",
    "SSE_MAX_SECONDS",
    "DAILY_BUDGET_USD",
    "CALLER_MAX_WAITING",
    "CALLER_MAX_ACTIVE",
    "CALLER_MAX_BYTES",
    "USAGE_TAG",
    "AUDIT_TTL",
    "BUDGET_WEBHOOK_URL",
    "ALWAYS_ASK_TOOLS",
    "PUBLIC_URL",
    "TRUSTED_PROXIES",
    "ROOT_PATH",
    "CREDENTIALS_PUBLIC_KEY",
    "CREDENTIALS_PRIVATE_KEY",
    "MCP_FETCH_ALLOWED",
    "MCP_LEARN",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_CAPTURE_CONTENT",
    "DEMO_MODEL",
]
# Variables that a platform sets, and no operator.
OF_THE_PLATFORM = {"ECS_AGENT_URI"}


def test_the_example_lists_the_contracts_variables_first_in_order():
    names = [name for name, _ in VARIABLE.findall(GATEWAY)]
    assert names[: len(CONTRACT)] == CONTRACT
    assert sorted(names[len(CONTRACT) :]) == sorted(ADDED)


def test_the_example_ends_with_the_credentials_of_the_cli():
    names = {name for name, _ in VARIABLE.findall(CREDENTIALS)}
    assert {"ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL"} <= names
    assert not names & set(CONTRACT)


def test_a_copy_of_the_example_changes_nothing():
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []


def test_every_line_of_the_example_is_a_sentence_or_a_variable():
    # `# NAME=` looks like a comment, and a reader who uncomments lines would miss it.
    assert re.findall(r"^#(?! |[A-Z][A-Z0-9_]*=).*$|^# [A-Z_]+=.*$", EXAMPLE, re.MULTILINE) == []


@pytest.mark.parametrize("settings", ALL_SETTINGS, ids=lambda settings: settings.__name__)
def test_every_setting_is_in_the_example(settings):
    assert {name.upper() for name in settings.model_fields} <= {*CONTRACT, *ADDED, *OF_THE_PLATFORM}


@pytest.mark.parametrize("settings", ALL_SETTINGS, ids=lambda settings: settings.__name__)
def test_the_values_of_the_example_are_the_defaults(settings, tmp_path, monkeypatch):
    for name in CONTRACT + ADDED:
        monkeypatch.delenv(name, raising=False)
    written = tmp_path / ".env"
    written.write_text(VARIABLE.sub(r"\1=\2", GATEWAY), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    changed = settings().model_dump()
    written.unlink()
    assert changed == settings().model_dump()


@pytest.mark.parametrize("settings", ALL_SETTINGS, ids=lambda settings: settings.__name__)
def test_a_default_that_is_a_number_or_a_string_is_written_out(settings):
    # An empty value counts as unset, so the comparison above would not miss it.
    written = dict(VARIABLE.findall(GATEWAY))
    fields = {name.upper(): field for name, field in settings.model_fields.items()}
    plain = {name: field.default for name, field in fields.items() if name not in OF_THE_PLATFORM}
    plain = {name: default for name, default in plain.items() if isinstance(default, int | float | str)}
    assert [name for name in plain if not written[name]] == []
