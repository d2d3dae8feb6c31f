"""The Claude CLI itself; its path is in the variable CLAUDE."""

import json
import os
import subprocess

from common import QUESTION, URL, report

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": os.environ["HOME"],
    "CLAUDE_CONFIG_DIR": os.environ["HOME"],
    "ANTHROPIC_BASE_URL": URL,
    "ANTHROPIC_API_KEY": "any",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "DISABLE_AUTOUPDATER": "1",
}


def lines(*flags):
    """Run the CLI, and return its messages."""
    command = [os.environ["CLAUDE"], "-p", "--verbose", "--output-format", "stream-json", *flags]
    done = subprocess.run(
        command, input=QUESTION, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def streamed():
    """Return the text of the streamed events."""
    events = [line["event"] for line in lines("--tools", "", "--include-partial-messages") if "event" in line]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    return "".join(delta.get("text", "") for delta in deltas)


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
report(
    plain=lambda: lines("--tools", "")[-1]["result"],
    streaming=streamed,
    structured=lambda: lines("--tools", "", "--json-schema", json.dumps(SCHEMA))[-1]["structured_output"]["n"],
    agent=lambda: lines("--allowedTools", "Bash")[-1]["result"],
)
