"""The linters of templates find nothing."""

import subprocess

import pytest

from tests.support.gateway import ROOT


@pytest.mark.usefixtures("sam")
def test_sam_cfn_lint_and_checkov_find_nothing():
    done = subprocess.run(["make", "--silent", "sam-lint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed checks: 0" in done.stdout
