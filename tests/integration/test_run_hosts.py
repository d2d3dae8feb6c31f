"""Tools of a whole gateway's runs reach the allowed hosts, through the relay and a proxy of the worker."""

import asyncio
import json
import shlex
import threading
from collections.abc import Iterator

import pytest

from tests.support.egress import HOST, Target
from tests.support.scripted_model import Text, ToolUse
from tests.support.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.slow]
PASSWORD = "do-not-find-me"


class CompanyProxy:
    """A proxy that connects every name to one TLS server, in a thread of its own."""

    def __init__(self) -> None:
        self.target = Target()
        self.heads: list[bytes] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> int:
        context = self.target.server_context()
        self._server = await asyncio.start_server(self.target.accept, "127.0.0.1", 0, ssl=context)
        self._proxy = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._proxy.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        there, back = await asyncio.open_connection(*self._server.sockets[0].getsockname())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)
        target.close()

    async def _stop(self) -> None:
        self._server.close()
        self._proxy.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def company() -> Iterator[CompanyProxy]:
    proxy = CompanyProxy()
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def variables(company):
    return {
        "CLAUDE_TOOLS": "Bash", "LOG_FORMAT": "json", "RUN_SANDBOX": "required",
        "RUN_ALLOWED_HOSTS": f"{HOST},*.other.example,localhost",
        "HTTPS_PROXY": f"http://user:{PASSWORD}@127.0.0.1:{company.port}", "NO_PROXY": "localhost",
    }  # fmt: skip


@pytest.fixture
def tool(gateway, model, script):
    """Return a function that runs a command as a tool; it returns the job and what the command printed."""

    def run(command, **request):
        seen = len(model.requests)
        script(lambda body: Text("done") if _results(body) else ToolUse("Bash", {"command": command}))
        job = gateway.ask("use the network", tools=["Bash"], **request)
        assert job["state"] == "completed", job
        printed = [result for one in model.requests[seen:] for result in _results(one.body)]
        return job, "\n".join(printed)

    return run


def _results(body):
    blocks = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    return [str(block["content"]) for block in blocks if block["type"] == "tool_result"]


def curl(company, *hosts):
    authority = company.target.authority.cert_pem.bytes().decode()
    urls = " ".join(f"https://{host}/" for host in hosts)
    return (
        f"echo {shlex.quote(authority)} > ca.pem; for url in {urls}; do curl -sS -m 20 --cacert ca.pem $url; done 2>&1"
    )


def connections(gateway, job):
    """Return the lines of the log about connections of a job."""
    lines = [json.loads(line) for line in list(gateway.log) if '"run_connection"' in line]
    return [line for line in lines if line["job_id"] == job["jobId"]]


def test_a_tool_reaches_the_allowed_host_and_no_other(gateway, company, tool):
    job, printed = tool(curl(company, HOST, "evil.example", "127.0.0.2"))
    assert "hello" in printed
    assert printed.count("CONNECT tunnel failed, response 403") == 2
    assert [head.split()[1] for head in company.heads] == [f"{HOST}:443".encode()]
    until(lambda: len(connections(gateway, job)) == 3)
    # A connection is written when both ends have closed it, which may be after the next was refused.
    lines = {line["host"]: line for line in connections(gateway, job)}
    assert {host: (line["port"], line["outcome"]) for host, line in lines.items()} == {
        HOST: (443, "closed"), "evil.example": (443, "refused"), "": (0, "refused")
    }  # fmt: skip
    assert lines[HOST]["sent"] > 0
    assert lines[HOST]["received"] > 0
    assert lines[HOST]["ms"] >= 0
    assert lines[HOST]["request_id"] == job["requestId"]


def test_a_submission_narrows_the_hosts_of_its_run(gateway, company, tool):
    before = len(company.heads)
    _, printed = tool(curl(company, HOST, "a.other.example"), network={"allowedHosts": ["a.other.example"]})
    assert "response 403" in printed
    assert [head.split()[1] for head in company.heads[before:]] == [b"a.other.example:443"]


@pytest.mark.long
def test_a_run_without_hosts_has_no_listener(gateway, company, tool):
    job, printed = tool(curl(company, HOST), network={"allowedHosts": []})
    assert "Failed to connect to 127.0.0.1" in printed
    assert connections(gateway, job) == []


def test_an_allowed_name_does_not_reach_the_machine(gateway, company, tool):
    _, printed = tool(
        curl(company, "localhost.", "localhost:6379", "localhost") + "; curl -m 5 --noproxy '' https://localhost/ -v"
    )
    assert "hello" not in printed
    assert "localhost resolves to an address that is not public" in printed


@pytest.mark.long
def test_a_tool_does_not_see_the_proxy_of_the_worker(gateway, company, tool):
    _, printed = tool(f"env; {curl(company, 'evil.example', HOST)}")
    assert "HTTPS_PROXY=http://127.0.0.1:3128" in printed
    assert PASSWORD not in printed
    assert str(company.port) not in printed
    assert PASSWORD not in "".join(gateway.log)


def test_the_cli_itself_does_not_use_the_network_of_its_tools(gateway):
    """Catches a CLI that asks Claude, or anybody else, through the proxy of its environment."""
    assert gateway.ask("hello")["state"] == "completed"
    job = gateway.ask("hello", tools=["Bash"])
    assert job["state"] == "completed"
    assert connections(gateway, job) == []
