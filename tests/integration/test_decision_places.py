"""Where calls are decided, and who may: keys, operators, one-use URLs, and tools that always need a decision."""

import html
import json
import re
import time

import pytest

from tests.integration.test_decisions import after, ask, bash, decide, paused, results
from tests.support.mcp_run import QUICK
from tests.support.receiver import Receiver
from tests.support.scripted_model import Text, ToolUse

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    config = tmp_path_factory.mktemp("mcp") / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"shop": {"command": str(QUICK), "args": []}}}))
    return {
        "CLAUDE_TOOLS": "Bash,Read,Write", "CLAUDE_MAX_RETRIES": "1", "MCP_ENABLED": "true", "MCP_CONFIG": str(config),
        "ALWAYS_ASK_TOOLS": "Write", "PUBLIC_URL": "http://127.0.0.1:9", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": "a-password-of-the-admin",
    }  # fmt: skip


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as receiver:
        yield receiver
