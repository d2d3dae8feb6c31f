"""docs/configuration.md lists every variable as the code reads it: readers, range, unit, default and example."""

import re
from pathlib import Path

import pytest

from shared.configuration import agents, skills
from shared.configuration.settings import (
    ALL_SETTINGS,
    HTTP_SETTINGS,
    SettingsError,
    SubmitSettings,
    WorkerSettings,
    load,
)
from tests.contract.test_env_example import CONTRACT

DOCUMENT = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \| (\w+) \| (.*?) \| (.*?) \| `(.*?)` \| (.+) \|$", re.MULTILINE)
ROWS = {name: row for name, *row in ROW.findall(DOCUMENT)}
FIELDS = {name.upper(): field for one in ALL_SETTINGS for name, field in one.model_fields.items()}
# Other variables that the readers of a value need.
BESIDE = {"ADMIN_ENABLED": {"ADMIN_PASSWORD": "a password that is long enough"}, "MCP_ENABLED": {}}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path):
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "mcp.json").write_text('{"mcpServers": {}}')
    monkeypatch.chdir(tmp_path)


def _readers(name):
    return [one for one in ALL_SETTINGS if name.lower() in one.model_fields]


def _read(name, value, monkeypatch):
    for other, beside in BESIDE.get(name, {}).items():
        monkeypatch.setenv(other, beside)
    monkeypatch.setenv(name, value)
    return [getattr(load.__wrapped__(one), name.lower()) for one in _readers(name)]


def test_every_variable_has_a_row_and_every_row_a_variable():
    assert set(ROWS) == set(FIELDS)
    assert set(CONTRACT) <= set(ROWS)
    assert len(ROW.findall(DOCUMENT)) == len(ROWS)


@pytest.mark.parametrize("name", FIELDS)
def test_a_row_names_the_readers_of_the_variable(name):
    of_api = any(one in HTTP_SETTINGS for one in _readers(name))
    # The worker submits the runs of schedules.
    of_worker = bool({WorkerSettings, SubmitSettings} & set(_readers(name)))
    assert ROWS[name][0] == ("both" if of_api and of_worker else "api" if of_api else "worker")


@pytest.mark.parametrize("name", FIELDS)
def test_the_default_of_a_row_is_that_of_every_reader(name, monkeypatch):
    written = ROWS[name][2]
    for one in _readers(name):
        default = one.model_fields[name.lower()].default
        if written == "unset":
            assert default in (None, ())
        else:
            assert default not in (None, ())
    if written != "unset":
        assert set(_read(name, written.strip("`"), monkeypatch)) == {FIELDS[name].default}


@pytest.mark.parametrize("name", FIELDS)
def test_the_example_of_a_row_can_be_used_and_is_not_the_default(name, monkeypatch):
    for module in (agents, skills):
        monkeypatch.setattr(module, "read", lambda _: {})  # the directory of the example is not on this machine
    assert all(value != FIELDS[name].default for value in _read(name, ROWS[name][3], monkeypatch))


@pytest.mark.parametrize("name", FIELDS)
def test_the_range_and_the_unit_of_a_row_are_those_of_the_message(name, monkeypatch):
    kind = ROWS[name][1]
    if not re.match("(whole )?number", kind):
        assert not any(hasattr(item, bound) for item in FIELDS[name].metadata for bound in ("ge", "gt", "le", "lt"))
        return
    with pytest.raises(SettingsError) as caught:
        _read(name, "wrong", monkeypatch)
    words, *unit, bounds = re.split(", (?!at most)", kind)
    noun = f"{words} of {unit[0]}" if unit else words
    spoken = bounds.replace("more than", "greater than").replace(", at most 1000000", " and 1000000 at most")
    expected = f"should be a {noun} {spoken if 'than' in spoken else f'from {spoken}'}"
    assert expected in str(caught.value)
