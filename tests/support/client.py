"""A client of a running gateway."""

import time
from collections.abc import Callable
from typing import Any

import httpx


class GatewayClient:
    """Operations of tests on a gateway; `log` has the output of its processes so far."""

    client: httpx.Client
    log: list[str]

    def submit(self, query: str, **fields: Any) -> str:
        """Submit a query and return its job's id."""
        answer = self.client.post("/api/query", json={"query": query, **fields})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["jobId"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        """Read a job."""
        answer = self.client.get(f"/api/query/{job_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def finished(self, job_id: str, timeout: float = 60) -> dict[str, Any]:
        """Wait for a job's end and return it."""
        ended: dict[str, Any] = self.until(lambda: self.job(job_id), lambda job: job["finishedAt"] is not None, timeout)
        return ended

    def ask(self, query: str, **fields: Any) -> dict[str, Any]:
        """Submit a query and return its job when it has ended."""
        return self.finished(self.submit(query, **fields))

    def until(self, look: Callable[[], Any], good: Callable[[Any], bool], timeout: float = 30) -> Any:
        """Poll until a value is good, and return it; AssertionError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not good(seen := look()):
            assert time.monotonic() < deadline, f"not within {timeout} s: {seen}\n" + "".join(
                [line for line in self.log if "request" not in line][-30:]
            )
            time.sleep(0.02)
        return seen
