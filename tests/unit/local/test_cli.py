"""The command line, whose groups are imported when they are asked for."""

import pytest
from typer.testing import CliRunner

from local.cli import app

run = CliRunner().invoke


def test_every_command_is_listed():
    shown = run(app, ["--help"]).output
    assert all(name in shown for name in ("local", "api", "worker", "ask", "keys", "webhooks"))


@pytest.mark.parametrize(("group", "command"), [("keys", "revoke"), ("webhooks", "redeliver")])
def test_a_group_lists_its_own(group, command):
    assert command in run(app, [group, "--help"]).output


def test_a_group_that_is_misspelt_is_suggested():
    failed = run(app, ["webhook"])
    assert failed.exit_code == 2
    assert "Did you mean 'webhooks'?" in failed.output
