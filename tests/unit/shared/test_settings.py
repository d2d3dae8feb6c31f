import pytest

from shared.configuration.settings import (
    ApiSettings,
    CommonSettings,
    SettingsError,
    SubmitSettings,
    WorkerSettings,
    load,
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path):
    for settings in (ApiSettings, SubmitSettings, WorkerSettings):
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    load.cache_clear()
    yield
    load.cache_clear()


def test_defaults_are_those_of_the_contract():
    assert load(ApiSettings).port == 3000
    assert load(SubmitSettings).max_query_bytes == 262_144
    assert load(WorkerSettings).queue_concurrency == 5
    assert load(WorkerSettings).claude_timeout == 120_000
    assert load(ApiSettings).redis_address == "redis://127.0.0.1:6379/0"


def test_redis_url_wins_over_host_and_port(monkeypatch):
    monkeypatch.setenv("REDIS_HOST", "elsewhere")
    monkeypatch.setenv("REDIS_URL", "rediss://cache:6380/1")
    assert load(ApiSettings).redis_address == "rediss://cache:6380/1"


def test_a_password_with_reserved_characters_is_escaped(monkeypatch):
    monkeypatch.setenv("REDIS_PASSWORD", "p@ss/word:1")
    assert load(ApiSettings).redis_address == "redis://:p%40ss%2Fword%3A1@127.0.0.1:6379/0"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("rediss://cache:6380/1", "rediss://:p%40ss@cache:6380/1"),
        ("rediss://api@cache:6380/1", "rediss://api:p%40ss@cache:6380/1"),
        ("rediss://api:own@cache:6380/1", "rediss://api:own@cache:6380/1"),
    ],
)
def test_redis_password_is_for_a_url_that_has_none(monkeypatch, url, address):
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("REDIS_PASSWORD", "p@ss")
    assert load(ApiSettings).redis_address == address


def test_an_error_names_the_variable_and_the_expected_value(monkeypatch):
    monkeypatch.setenv("QUEUE_CONCURRENCY", "many")
    monkeypatch.setenv("CLAUDE_TIMEOUT", "10")
    with pytest.raises(SettingsError) as caught:
        load(WorkerSettings)
    assert "QUEUE_CONCURRENCY: should be a whole number from 1 to 1000, such as 5 (it is 'many')" in str(caught.value)
    assert "CLAUDE_TIMEOUT: should be a whole number of milliseconds from 1000 to 86400000" in str(caught.value)


def test_a_wrong_secret_is_not_echoed(monkeypatch):
    class Secretive(CommonSettings):
        redis_password: int  # type: ignore[assignment]

    monkeypatch.setenv("REDIS_PASSWORD", "hunter2")
    with pytest.raises(SettingsError) as caught:
        load(Secretive)
    assert "hunter2" not in str(caught.value)


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("CLAUDE_MODELS", "")
    monkeypatch.setenv("PORT", "")
    assert load(SubmitSettings).claude_models == ()
    assert load(ApiSettings).port == 3000


def test_lists_are_written_with_commas_or_spaces(monkeypatch):
    monkeypatch.setenv("CLAUDE_MODELS", "opus, sonnet haiku")
    assert load(SubmitSettings).claude_models == ("opus", "sonnet", "haiku")


@pytest.mark.parametrize(
    ("environment", "auth"),
    [
        ({}, False),
        ({"HOST": "localhost"}, False),
        ({"HOST": "::1"}, False),
        ({"HOST": "0.0.0.0"}, True),
        ({"HOST": "::"}, True),
        ({"HOST": "gateway.example"}, True),
        ({"AWS_LAMBDA_FUNCTION_NAME": "submit"}, True),
        ({"HOST": "0.0.0.0", "AUTH_ENABLED": "false"}, False),
        ({"AUTH_ENABLED": "true"}, True),
    ],
)
def test_callers_need_a_key_off_loopback_unless_disabled(monkeypatch, environment, auth):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load(SubmitSettings).auth is auth


@pytest.mark.parametrize(("text", "rate"), [("60/minute", (60, 60)), ("5 / second", (5, 1)), ("1/hours", (1, 3600))])
def test_a_rate_is_a_number_and_a_unit(monkeypatch, text, rate):
    monkeypatch.setenv("RATE_LIMIT", text)
    assert load(SubmitSettings).rate_limit == rate


@pytest.mark.parametrize("text", ["60", "0/minute", "-1/hour", "many/minute", "60/fortnight", "1.5/second"])
def test_an_invalid_rate_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("RATE_LIMIT", text)
    with pytest.raises(SettingsError, match="RATE_LIMIT"):
        load(SubmitSettings)


def test_a_dotenv_file_is_read_and_the_environment_wins(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("PORT=3100\nLOG_LEVEL=DEBUG\nUNRELATED=1\n")
    monkeypatch.setenv("PORT", "3200")
    assert load(ApiSettings).port == 3200
    assert load(ApiSettings).log_level == "DEBUG"


def test_unusable_mcp_servers_are_named_at_the_start(tmp_path, monkeypatch):
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {"a": {"command": "a", "env": {"T": "${NOT_SET}"}}, "b": {"command": "b"}}}')
    monkeypatch.setenv("MCP_ENABLED", "true")
    monkeypatch.setenv("MCP_CONFIG", str(path))
    # The API needs no secret of a server.
    assert set(load.__wrapped__(SubmitSettings).servers) == {"a", "b"}
    with pytest.raises(SettingsError, match=r"^MCP_CONFIG: .*server 'a': env.T: the variable NOT_SET is not set$"):
        load.__wrapped__(WorkerSettings)


@pytest.mark.parametrize(
    ("environment", "token"), [({}, "of-the-file"), ({"T": ""}, "of-the-file"), ({"T": "given"}, "given")]
)
def test_an_mcp_variable_is_read_from_dotenv_or_the_environment(tmp_path, monkeypatch, environment, token):
    servers = '{"mcpServers": {"a": {"command": "a", "env": {"T": "${T}"}, "routing": {"enabled": "${ON:-false}"}}}}'
    (tmp_path / "mcp.json").write_text(servers)
    (tmp_path / ".env").write_text("MCP_ENABLED=true\nT=of-the-file\nON=true\nNO_VALUE\n")
    monkeypatch.delenv("T", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert set(load.__wrapped__(SubmitSettings).servers) == {"a"}
    assert load.__wrapped__(WorkerSettings).servers["a"].env == {"T": token}


@pytest.mark.parametrize("host", ["https://example.com", "example.com:443", "*", "10.0.0.1", "b\u00fccher.example"])
def test_a_host_of_runs_that_is_no_name_is_refused_by_name(monkeypatch, host):
    monkeypatch.setenv("RUN_ALLOWED_HOSTS", f"Example.com., *.example.org {host}")
    for settings in (SubmitSettings, WorkerSettings):
        with pytest.raises(SettingsError, match=r"^RUN_ALLOWED_HOSTS: should be"):
            load(settings)


def test_hosts_of_runs_have_one_form(monkeypatch):
    monkeypatch.setenv("RUN_ALLOWED_HOSTS", "Example.com., *.Example.org")
    assert load(WorkerSettings).run_allowed_hosts == ("example.com", "*.example.org")
