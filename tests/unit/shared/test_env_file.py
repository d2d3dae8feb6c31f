"""Variables as text: forms of a `.env`, and quotes and spaces around values of the environment."""

import os

import pytest

from shared.configuration import env_file
from shared.configuration.settings import ApiSettings, SettingsError, SubmitSettings, load


@pytest.fixture(autouse=True)
def _empty(monkeypatch, tmp_path):
    for name in ("PORT", "LOG_LEVEL", "LOG_FORMAT", "REDIS_URL", "REDIS_PASSWORD", "HOST", "CLAUDE_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_missing_file_defines_no_variable():
    assert env_file.read() == {}


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfPORT=3100\r\nHOST=::1\r\n")
    assert load.__wrapped__(ApiSettings).port == 3100
    assert load.__wrapped__(ApiSettings).host == "::1"


@pytest.mark.parametrize(
    "content", ["PORT=3100\n".encode("utf-16"), "PORT=3100\n".encode("utf-16-le"), "PORT=3100\n".encode("utf-16-be")]
)
def test_utf16_is_named_as_such(tmp_path, content):
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingsError, match=r"^\.env: is UTF-16 or binary data; .*UTF-8"):
        load.__wrapped__(ApiSettings)


def test_a_line_that_is_not_utf8_is_named_by_its_number(tmp_path):
    (tmp_path / ".env").write_bytes(b"PORT=3100\nREDIS_PASSWORD=hunter2\xff\n")
    with pytest.raises(SettingsError, match=r"^\.env: line 2 is not UTF-8") as caught:
        load.__wrapped__(ApiSettings)
    assert "hunter2" not in str(caught.value)


def test_a_directory_is_refused_unless_it_is_a_virtual_environment(tmp_path):
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError, match=r"^\.env: is a directory"):
        load.__wrapped__(ApiSettings)
    (tmp_path / ".env/pyvenv.cfg").touch()
    assert load.__wrapped__(ApiSettings).port == 3000


def test_a_file_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / ".env").touch()

    def refuse(_path):
        raise PermissionError(13, "Permission denied")  # root can read everything

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(SettingsError, match=r"^\.env: cannot be read: Permission denied"):
        load.__wrapped__(ApiSettings)


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ('"3100"', "PORT", 3100),
        ("'3100'", "PORT", 3100),
        (" 3100\r", "PORT", 3100),
        ('"debug"', "LOG_LEVEL", "DEBUG"),
        ("TEXT", "LOG_FORMAT", "text"),
        ('""', "PORT", 3000),
        (" \r\n", "PORT", 3000),
    ],
)
def test_quotes_and_spaces_around_a_value_are_removed(monkeypatch, written, name, value):
    monkeypatch.setenv(name, written)
    assert getattr(load.__wrapped__(ApiSettings), name.lower()) == value


def test_a_secret_loses_its_last_newline_and_its_quotes_but_no_space(monkeypatch):
    for written, password in (("p w \n", "p w "), ('"p"', "p"), ("p'", "p'"), ("\r\n", None)):
        monkeypatch.setenv("REDIS_PASSWORD", written)
        found = load.__wrapped__(ApiSettings).redis_password
        assert (found and found.get_secret_value()) == password


def test_a_variable_that_is_not_utf8_is_refused(monkeypatch):
    monkeypatch.setitem(os.environ, "CLAUDE_MODEL", "x\udcff")
    with pytest.raises(SettingsError, match=r"^CLAUDE_MODEL: should be UTF-8 text"):
        load.__wrapped__(SubmitSettings)


def test_the_environment_wins_unless_it_is_empty(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("A=file\nB=file\nC=\n")
    monkeypatch.setenv("A", '"environment"')
    monkeypatch.setenv("B", " ")
    found = env_file.given()
    assert (found["A"], found["B"]) == ("environment", "file")
    assert "C" not in found
