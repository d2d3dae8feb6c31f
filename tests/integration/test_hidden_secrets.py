"""A tool that can run commands searches the processes for the gateway's secrets."""

import json

import pytest

from tests.support.scripted_model import Text, ToolUse

SECRET = "do0not0find0me00"
KEY = "sk0ant0do0not0find0me"


@pytest.fixture(scope="module")
def variables():
    return {
        "CLAUDE_TOOLS": "Bash",
        "WEBHOOK_SECRET": "whsec_" + SECRET * 3,
        "ADMIN_PASSWORD": SECRET,
        "REDIS_PASSWORD": SECRET,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "SOMETHING_ELSE": SECRET,
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_CUSTOM_HEADERS": f"X-Gateway: {KEY}",
    }


@pytest.mark.once
@pytest.mark.slow
def test_no_process_shows_a_tool_the_gateways_secrets(gateway, model, script):
    # Written so that the search does not find itself.
    find = f"grep -aE '[{SECRET[0]}]{SECRET[1:]}|^CLAUDE_CONFIG_DIR'"
    command = f"(cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; env) 2>/dev/null | tr '\\0' '\\n' | {find} | head -50"
    before = len(model.requests)
    script(lambda body: Text("done") if len(model.requests) > before + 1 else ToolUse("Bash", {"command": command}))
    job = gateway.ask("look around", tools=["Bash"])
    assert job["state"] == "completed", job
    seen = json.dumps(model.requests[-1].body["messages"])
    assert "CLAUDE_CONFIG_DIR" in seen, "it did not look"
    assert SECRET not in seen


@pytest.mark.slow
@pytest.mark.once
def test_a_run_has_no_credential_anywhere(gateway, model, script):
    find = f"grep -raE '[{KEY[0]}]{KEY[1:]}|^CLAUDE_CONFIG_DIR|^ANTHROPIC'"
    places = '"$CLAUDE_CONFIG_DIR" "$HOME" "$TMPDIR" "$PWD" /run /etc'
    processes = "(cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; env) 2>/dev/null | tr '\\0' '\\n'"
    # Not from the transcript, which holds this very command.
    command = f"{processes} | {find} | sort -u | head -50; {find} {places} 2>/dev/null | cut -c1-300 | head -50"
    before = len(model.requests)
    script(lambda body: Text("done") if len(model.requests) > before + 1 else ToolUse("Bash", {"command": command}))
    job = gateway.ask("look for the key", tools=["Bash"])
    assert job["state"] == "completed", job
    request = model.requests[-1]
    seen = json.dumps(request.body["messages"])
    assert "CLAUDE_CONFIG_DIR" in seen, "it did not look"
    assert "ANTHROPIC_API_KEY=placeholder" in seen
    assert KEY not in seen, seen[seen.index(KEY) - 3000 :][:4000]
    assert (request.headers["x-api-key"], request.headers["x-gateway"]) == (KEY, KEY)
    assert KEY not in "".join(gateway.log)
