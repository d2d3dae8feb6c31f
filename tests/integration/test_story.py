"""A repository with a failing test is given; a run repairs it; the patch comes back, applies, and the test passes."""

import pytest

from tests.support.git_server import GitServer
from tests.support.story import check_that_a_failing_test_is_repaired

pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with GitServer(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="module")
def variables(server):
    return {
        "CLAUDE_TOOLS": "Bash,Read,Edit",
        "RUN_SANDBOX": "required",
        "RUN_ALLOWED_NETWORKS": "127.0.0.0/8",
        "NODE_EXTRA_CA_CERTS": str(server.write_authority(server.folder / "ca.pem")),
    }


def test_a_failing_test_is_repaired_and_the_patch_applies(gateway, model, server, tmp_path):
    check_that_a_failing_test_is_repaired(gateway, model, server, server.url("shop"), tmp_path)
