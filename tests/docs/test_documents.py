"""The commands of README and docs run unchanged, against a gateway with the demo model.

The blocks of one document are one script, in their order. A block that cannot run here has the comment
`<!-- not run: REASON -->` before it. Only ports are replaced.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs.blocks import DOCUMENTS, ROOT, RUN, blocks_of
from tests.support.gateway import Gateway
from tests.support.ports import free_port

PASSWORD = "correct horse battery"
SCRIPTS = [
    pytest.param(document, kind, id=f"{document.relative_to(ROOT)}-{kind}")
    for document in DOCUMENTS
    for kind in sorted(RUN)
    if any(block.kind == kind and block.reason is None for block in blocks_of(document))
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[Gateway]:
    """The gateway of `make run`, with every feature that a document uses."""
    folder = tmp_path_factory.mktemp("gateway")
    # The default data directory of `claude-gateway local`.
    (folder / ".data").symlink_to(folder / "data")
    variables = {
        "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": PASSWORD, "METRICS_ENABLED": "true", "MCP_ENABLED": "true",
        "MCP_CONFIG": str(ROOT / "local/mcp.json"), "CLAUDE_TOOLS": "Read", "QUEUE_CONCURRENCY": "2",
    }  # fmt: skip
    with Gateway(folder, **variables) as gateway:
        (folder / "home/.curlrc").write_text("fail-with-body\nsilent\nshow-error\n", encoding="utf-8")
        yield gateway


@pytest.mark.parametrize(("document", "kind"), SCRIPTS)
def test_the_commands_of_a_document_run(gateway, document, kind):
    """Catches a command, an option, a field or an import that no longer exists."""
    script = "\n".join(block.text for block in blocks_of(document) if block.kind == kind and block.reason is None)
    folder = gateway.data.parent
    port = gateway.url.rpartition(":")[2]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for written, free in (("127.0.0.1:3000", f"127.0.0.1:{port}"), ("9009", str(free_port()))):
        script = script.replace(written, free)
    shell = ["bash", "-euo", "pipefail", "-c"] if kind == "sh" else [sys.executable, "-c"]
    process = subprocess.Popen(
        [*shell, script],
        cwd=folder,
        env={"PATH": programs, "HOME": str(folder / "home"), "PORT": port, "ADMIN_PASSWORD": PASSWORD},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    # A background process would hold the output open, so it ends with the script.
    status = None
    with suppress(subprocess.TimeoutExpired):
        status = process.wait(90)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert status == 0, f"{document.name} ended with {status}:\n{output[-4000:]}"
    assert '"state":"failed"' not in output, output[-4000:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_a_skipped_block_has_a_reason(document):
    """Catches a block that is skipped without a reason."""
    text = document.read_text(encoding="utf-8")
    assert text.count("<!-- not run") == len([block for block in blocks_of(document) if block.reason is not None])
