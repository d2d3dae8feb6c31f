import os

import pytest

from local.admin_password import make_if_missing


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("ADMIN_ENABLED", "ADMIN_PASSWORD", "ADMIN_USERNAME"):
        monkeypatch.setenv(name, "")  # put back afterwards, whatever is made
        monkeypatch.delenv(name)


def test_a_password_is_made_and_told_once_when_the_dashboard_has_none(monkeypatch, capsys):
    monkeypatch.setenv("ADMIN_ENABLED", "true")
    make_if_missing()
    made = os.environ["ADMIN_PASSWORD"]
    assert len(made) >= 12
    assert made in capsys.readouterr().err
    make_if_missing()
    assert (os.environ["ADMIN_PASSWORD"], capsys.readouterr().err) == (made, "")


def test_a_password_that_is_there_stays_and_is_not_told(tmp_path, capsys):
    (tmp_path / ".env").write_text("ADMIN_ENABLED=true\nADMIN_PASSWORD=correct horse battery\n")
    make_if_missing()
    assert "ADMIN_PASSWORD" not in os.environ
    assert capsys.readouterr().err == ""


def test_no_password_is_made_for_a_dashboard_that_is_off(capsys):
    make_if_missing()
    assert "ADMIN_PASSWORD" not in os.environ
    assert capsys.readouterr().err == ""
