import os

import pytest

from local.admin_password import make_if_missing


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("ADMIN_ENABLED", "ADMIN_PASSWORD", "ADMIN_USERNAME"):
        monkeypatch.setenv(name, "")  # restored afterwards, whatever is generated
        monkeypatch.delenv(name)


def test_a_missing_dashboard_password_is_generated_and_printed_once(monkeypatch, capsys):
    monkeypatch.setenv("ADMIN_ENABLED", "true")
    make_if_missing()
    made = os.environ["ADMIN_PASSWORD"]
    assert len(made) >= 12
    assert made in capsys.readouterr().err
    make_if_missing()
    assert (os.environ["ADMIN_PASSWORD"], capsys.readouterr().err) == (made, "")


def test_an_existing_password_stays_and_is_not_printed(tmp_path, capsys):
    (tmp_path / ".env").write_text("ADMIN_ENABLED=true\nADMIN_PASSWORD=correct horse battery\n")
    make_if_missing()
    assert "ADMIN_PASSWORD" not in os.environ
    assert capsys.readouterr().err == ""


def test_no_password_is_made_for_a_dashboard_that_is_off(capsys):
    make_if_missing()
    assert "ADMIN_PASSWORD" not in os.environ
    assert capsys.readouterr().err == ""
