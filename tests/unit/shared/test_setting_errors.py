"""Errors of settings are in plain English for every field of every class, and never contain a secret."""

import os
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.configuration.settings import ALL_SETTINGS, SettingsError, WorkerSettings, load, load_all

FIELDS = sorted(((one, name) for one in ALL_SETTINGS for name in one.model_fields), key=lambda pair: pair[1])
BAD = [
    "wrong value", "-1", "0", "99999999999999999999999", "9" * 5000, "1.5", "nan", "inf", "1e400", "5s", "10 000", "1k",
    "enabled", "perhaps", "None", "null", "[]", '["a"]', "{}", "tcp://10.0.0.1:6379", "http://example.com", "::",
    "10.0.0.1/8", "a/b", "60", "60/fortnight", "/../x", "/admin", "\N{GREEK SMALL LETTER ALPHA}", "\udcff", "a b c",
    "host:6379",
    "whsec_x", "1,2,x", "1\n2", "\x7f",
]  # fmt: skip
# Wordings of Pydantic, Python and json.
JARGON = re.compile(
    r"input should|valid (tuple|integer|boolean|number|string|list)|type=|input_|Value error|unable to parse|validation"
    r"|tuple|boolean|NoneType|Traceback|object at 0x|errors\.pydantic|does not appear|permitted|literal|invalid ",
    re.IGNORECASE,
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path):
    for one in ALL_SETTINGS:
        for name in one.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    load.cache_clear()
    yield
    load.cache_clear()


def _problems(one, **environment):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name.upper(), value)
        try:
            load.__wrapped__(one)
        except SettingsError as error:
            return str(error).splitlines()
    return []


def _annotation(one, name):
    return str(one.model_fields[name].annotation)


def _id(part):
    return getattr(part, "__name__", part)


NUMBERS = {"<class 'int'>", "int | None", "<class 'float'>", "float | None"}


@pytest.mark.parametrize(("one", "name"), FIELDS, ids=_id)
def test_no_message_has_the_wording_of_pydantic(one, name):
    for value in BAD:
        for line in _problems(one, **{name: value}):
            assert line.startswith(f"{name.upper()}: "), line
            assert re.search(r"should|takes|has a ", line), line
            assert not JARGON.search(line.replace(repr(value), "")), line
            assert len(line) < 500, line


@pytest.mark.parametrize(("one", "name"), [pair for pair in FIELDS if _annotation(*pair) in NUMBERS], ids=_id)
def test_a_number_says_its_range_and_an_example(one, name):
    (line,) = _problems(one, **{name: "wrong value"})
    assert re.search(r" from [0-9]+ to [0-9]+| or more| greater than| of [0-9]+ at most", line), line
    assert re.search(r"such as [0-9.]+ \(it is 'wrong value'\)$", line), line


@pytest.mark.parametrize(("one", "name"), [pair for pair in FIELDS if "bool" in _annotation(*pair)], ids=_id)
def test_a_boolean_is_accepted_in_any_usual_form(one, name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADMIN_PASSWORD", "a password that is long enough")
        patch.setenv("MCP_CONFIG", "/dev/null")
        for value in ("true", "TRUE", "yes", "on", "1", " True ", '"true"', "t"):
            assert [line for line in _problems(one, **{name: value}) if "true or false" in line] == []
        for value in ("false", "No", "off", "0", "'false'"):
            assert _problems(one, **{name: value}) == []
        (line,) = _problems(one, **{name: "enabled"})
        assert line.startswith(f"{name.upper()}: should be true or false")


@pytest.mark.parametrize(("one", "name"), [pair for pair in FIELDS if "Secret" in _annotation(*pair)], ids=_id)
def test_the_value_of_a_secret_is_in_no_message(one, name):
    for value in (
        "hunter2xyzzy",
        "redis://:hunter2#xyzzy@h:6379",
        "redis://:hunter2/xyzzy",
        "redis://h:hunter2xyzzy",
        "redis://u:hunter2?xyzzy",
        "redis://:hunter2xyzzy%ff@h",
        "redis://:p@h?hunter2xyzzy=1",
        "redis://[hunter2xyzzy@h",
        "hunter2xyzzy\udcff",
        "whsec_hunter2xyzzy",
        '"hunter2xyzzy',
    ):
        shown = "\n".join(_problems(one, **{name: value, "admin_enabled": "true"}))
        assert "hunter2" not in shown
        assert "xyzzy" not in shown


@pytest.mark.parametrize(
    "value", ["redis://:hunter2@h:6379", "user:hunter2@h", "sk-ant-hunter2", "whsec_hunter2", "cgk_hunter2"]
)
def test_a_secret_in_the_wrong_variable_is_not_echoed(value):
    for one, name in FIELDS:
        assert "hunter2" not in "\n".join(_problems(one, **{name: value}))


def test_a_validation_error_holds_no_value_in_its_text():
    os.environ["REDIS_URL"] = "http://:hunter2@h"
    try:
        with pytest.raises(ValueError, match=r"redis_url") as caught:
            WorkerSettings()
    finally:
        del os.environ["REDIS_URL"]
    assert "hunter2" not in str(caught.value)


@given(
    name=st.sampled_from(FIELDS),
    value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40),
)
@example(name=next(pair for pair in FIELDS if pair[1] == "rate_limit"), value="60")
@example(name=next(pair for pair in FIELDS if pair[1] == "log_format"), value="INVALID 0")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_breaks_a_setting(name, value):
    one, field = name
    for line in _problems(one, **{field: value}):
        # Some settings quote the value in another case.
        without_value = re.sub(r"\(it is .*\)", "", line).replace(repr(value.strip())[1:-1][:20], "")
        assert not JARGON.search(without_value), line


def test_all_errors_are_reported_at_once_and_each_once(monkeypatch):
    monkeypatch.setenv("REDIS_PORT", "x")
    monkeypatch.setenv("CACHE_TTL", "1h")
    monkeypatch.setenv("QUEUE_CONCURRENCY", "many")
    with pytest.raises(SettingsError) as caught:
        load_all(*ALL_SETTINGS)
    lines = str(caught.value).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == ["CACHE_TTL", "QUEUE_CONCURRENCY", "REDIS_PORT"]


def test_a_time_says_its_unit():
    assert "whole number of milliseconds from 1000" in _problems(WorkerSettings, claude_timeout="2m")[0]
    assert "whole number of seconds from 1" in _problems(WorkerSettings, result_ttl="1d")[0]


@pytest.mark.parametrize("name", ["redis_port", "port"])
def test_a_variable_of_kubernetes_gets_a_remedy(name):
    one = next(one for one, field in FIELDS if field == name)
    (line,) = _problems(one, **{name: "tcp://10.0.0.1:6379"})
    assert "enableServiceLinks: false" in line
    assert f"set {name.upper()} to the number yourself" in line


@pytest.mark.parametrize("variable", ["REDIS_PORT", "REDIS_HOST"])
def test_an_unused_redis_variable_does_not_prevent_the_start(variable):
    url = {"redis_url": "redis://h:6379/0"}
    assert all(_problems(one, **url, **{variable: "tcp://10.0.0.1:6379"}) == [] for one in ALL_SETTINGS)


def test_an_unused_dashboard_password_does_not_prevent_the_start():
    for one in ALL_SETTINGS:
        assert _problems(one, admin_password="short") == []
        assert _problems(one, admin_password="same", admin_viewer_password="same") == []
