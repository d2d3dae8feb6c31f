"""The log of an API that is stopped has a line for every request that it answered."""

import json

import pytest

from tests.support.deployment import Deployment


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_answered_request_has_its_line_after_sigterm(tmp_path, model, processes):
    with Deployment(tmp_path, model.url, LOG_FORMAT="json", WEB_CONCURRENCY=processes) as deployment:
        answered = [
            deployment.client.post("/api/query", json={"query": f"{one}"}).headers["x-request-id"] for one in range(20)
        ]
    # At its end, the deployment sends SIGTERM to the API and waits for it.
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert set(answered) <= {line.get("request_id") for line in lines}
