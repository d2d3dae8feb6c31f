"""An unknown name in `.env` is reported with the nearest known one."""

import pytest

from local.env_names import warnings
from shared.configuration.settings import ALL_SETTINGS


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MCP_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("QUEUE_CONCURENCY=3", "QUEUE_CONCURRENCY"),
        ("PROT=3100", "PORT"),
        ("REDIS_PASSWROD=x", "REDIS_PASSWORD"),
        ("export claude_modle=x", "CLAUDE_MODEL"),
        ("ANTHROPIC-API-KEY=x", "ANTHROPIC_API_KEY"),
        ("ANTROPIC_API_KEY=x", "ANTHROPIC_API_KEY"),
        ("ADMIN_PASSWORT=x", "ADMIN_PASSWORD"),
        ("METRICS_ENABLE=true", "METRICS_ENABLED"),
    ],
)
def test_a_misspelled_name_gets_the_nearest_suggestion(tmp_path, line, right):
    (tmp_path / ".env").write_text(f"# a comment\n{line}\n")
    (warning,) = warnings()
    assert warning.startswith(".env: line 2: ")
    assert warning.endswith(f"is not a variable of the gateway and is ignored; did you mean {right}?")
    assert "=x" not in warning


def test_every_name_that_has_an_effect_is_known(tmp_path):
    (tmp_path / "mcp.json").write_text('{"mcpServers": {"a": {"command": "a", "env": {"T": "${PORTS}"}}}}')
    names = {name for one in ALL_SETTINGS for name in one.model_fields} | {name.upper() for name in ("port", "host")}
    others = [
        "ANTHROPIC_API_KEY_FILE",
        "AWS_REGION",
        "CLAUDE_CODE_USE_BEDROCK",
        "HTTPS_PROXY",
        "LC_ALL",
        "WORKERS",
        "PORTS",
    ]
    (tmp_path / ".env").write_text("".join(f"{name}=1\n" for name in [*names, *others]))
    assert warnings() == []


def test_a_name_of_another_program_is_no_error(tmp_path):
    (tmp_path / ".env").write_text("DATABASE_DSN=1\nMY_APP=1\nCOMPOSE_PROJECT_NAME=x\n")
    assert warnings() == []


def test_an_invalid_line_is_named_by_its_number_only(tmp_path):
    (tmp_path / ".env").write_text("PORT=1\nhunter2 is here\nPORT\n\n# comment\n")
    assert warnings() == [
        ".env: line 2 is ignored: it should be NAME=value",
        ".env: line 3 is ignored: it should be NAME=value",
    ]
