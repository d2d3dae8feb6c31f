"""Callers' credentials in the headers of MCP servers: who has which, where they go, and who may use whose."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from functions.worker.cli.mcp_servers import Expected
from functions.worker.cli.plan import GitPlan, McpPlan
from functions.worker.jobs.credentials import CredentialUnavailableError, git_authorization
from functions.worker.jobs.mcp_credentials import with_credentials
from shared import sealing
from shared.configuration.settings import WorkerSettings
from shared.egress.repositories import repository_of
from shared.mcp.config import Server
from shared.store import keys
from shared.store.callers import callers
from shared.store.jobs.claims import Claim, ClaimedJob
from shared.store.redis.client import async_client
from tests.support.commands import run_command
from tests.support.mcp_run import mcp_run
from tests.support.slot import run

PUBLIC, PRIVATE = sealing.new_pair()
SETTINGS = WorkerSettings(credentials_private_key=PRIVATE)
PASSWORD = "a password for tests"
SERVERS = {
    "tickets": {
        "url": "https://tickets.example/mcp",
        "headers": {"Authorization": "Bearer ${credential.tickets}", "X-Team": "${credential.team}"},
        "routing": {"keywords": ["open tickets"], "cacheable": True},
    },
    "plain": {"command": "plain"},
}


@pytest.fixture
async def client(connect, tmp_path):
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": SERVERS}))
    client = await connect(
        AUTH_ENABLED="true", ADMIN_ENABLED="true", ADMIN_PASSWORD=PASSWORD, CREDENTIALS_PUBLIC_KEY=PUBLIC,
        MCP_ENABLED="true", MCP_CONFIG=str(tmp_path / "mcp.json"),
    )  # fmt: skip
    client.auth = ("admin", PASSWORD)
    return client


@pytest.fixture
async def two(client, server):
    """Two callers, and a function that sends a request as one of them."""
    made = [await callers.create(async_client(server.url), name) for name in ("ann", "bob")]

    async def as_caller(number, method, path, **body):
        headers = {"X-API-Key": made[number].key}
        return await client.request(method, path, json=body or None, headers=headers, auth=None)

    return [one.id for one in made], as_caller


async def put(as_caller, number, name, value="s3cret", **fields):
    answer = await as_caller(number, "PUT", f"/api/credentials/{name}", **{"kind": "header", "value": value, **fields})
    assert answer.status_code in {200, 201}


def server_with(headers=None, host="tickets.example", **fields):
    headers = {"Authorization": "Bearer ${credential.tickets}"} if headers is None else headers
    return Server.model_validate({"type": "http", "url": f"https://{host}/mcp", "headers": headers, **fields})


async def plan_of(server, caller, one, *, required=frozenset()):
    plan = McpPlan(("far",), {"far": one}, required)
    return await with_credentials(
        plan, ClaimedJob(Claim("j", 1), {}, 0, 1000, "r", caller), async_client(server.url), SETTINGS
    )


async def test_a_server_gets_the_value_of_its_caller(two, server):
    (ann, bob), as_caller = two
    await put(as_caller, 0, "tickets", "of-ann")
    await put(as_caller, 1, "tickets", "of-bob")
    for caller, value in ((ann, "of-ann"), (bob, "of-bob")):
        plan = await plan_of(server, caller, server_with())
        assert plan.servers["far"].headers == {"Authorization": f"Bearer {value}"}
        assert value not in repr(plan)


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        ({"hosts": ["other.example"]}, "tickets.example"),
        ({"hosts": ["tickets.example"]}, "evil-tickets.example"),
        ({"hosts": ["*.tickets.example"]}, "tickets.example"),
        ({"kind": "git"}, "tickets.example"),
        ({"kind": "anthropic_api_key"}, "tickets.example"),
        (None, "tickets.example"),
    ],
    ids=["another host", "a longer name", "only below it", "another kind", "an API key", "none"],
)
async def test_a_server_without_a_fitting_value_is_unavailable(two, server, caplog, fields, host):
    """Catches a value that is sent to a host that its credential does not name."""
    (ann, _), as_caller = two
    if fields is not None:
        await put(as_caller, 0, "tickets", **fields)
    plan = await plan_of(server, ann, server_with(host=host), required=frozenset({"far"}))
    assert plan.servers == {}
    expected = Expected(plan, set(), set())
    assert (expected.absent, expected.required_is_absent) == (("far",), True)
    [line] = [record for record in caplog.records if record.message == "credential_unavailable"]
    assert "s3cret" not in str(vars(line))


@pytest.mark.parametrize("host", ["tickets.example", "TICKETS.example."])
async def test_a_value_goes_to_its_hosts(two, server, host):
    (ann, _), as_caller = two
    await put(as_caller, 0, "tickets", hosts=["tickets.example"])
    assert (await plan_of(server, ann, server_with(host=host))).servers


async def test_a_run_without_such_servers_reads_nothing(client, server, round_trips):
    plan = McpPlan(("far",), {"far": server_with({})})
    assert (
        await with_credentials(
            plan, ClaimedJob(Claim("j", 1), {}, 0, 1000, "r", "c"), async_client(server.url), SETTINGS
        )
        is plan
    )
    assert round_trips == []


async def test_the_servers_that_a_request_names_need_its_callers_values(two):
    _, as_caller = two
    body = {"query": "q", "mcpServers": ["tickets"]}
    for path, sent in (("/api/query", body), ("/api/batches", {"queries": [{"query": "fine"}, body]})):
        answer = await as_caller(0, "POST", path, **sent)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["errors"][0]["pointer"].endswith("/mcpServers")
        assert "credential tickets of the kind header" in answer.json()["detail"]
    await put(as_caller, 0, "tickets")
    assert "credential team" in (await as_caller(0, "POST", "/api/query", **body)).json()["detail"]
    await put(as_caller, 0, "team")
    assert (await as_caller(0, "POST", "/api/query", **body)).status_code == 202
    assert (await as_caller(1, "POST", "/api/query", query="q", mcpServers=["plain"])).status_code == 202


async def test_a_routed_query_runs_without_the_value(two):
    _, as_caller = two
    answer = await as_caller(0, "POST", "/api/query", query="Which open tickets are there?")
    assert answer.status_code == 202
    job = (await as_caller(0, "GET", answer.headers["location"])).json()
    assert job["mcpServers"] == ["tickets"]


async def test_an_answer_on_another_value_is_not_reused(two, server):
    """Catches an answer from a server that the caller reached as somebody else."""
    _, as_caller = two
    for name in ("tickets", "team"):
        await put(as_caller, 0, name)
    body = {"query": "Which open tickets are there?"}
    await as_caller(0, "POST", "/api/query", **body)
    await run(server.url)
    assert (await as_caller(0, "POST", "/api/query", **body)).json()["status"] == "cached"
    await put(as_caller, 0, "team", "another")
    assert (await as_caller(0, "POST", "/api/query", **body)).json()["status"] == "queued"


async def test_an_operator_lets_others_use_a_credential(two, client, server):
    (ann, bob), as_caller = two
    await put(as_caller, 0, "tickets", "of-ann")
    path = f"/admin/api/callers/{ann}/credentials/tickets/users"
    assert (await plan_of(server, bob, server_with())).servers == {}
    assert (await client.put(path, json={"users": [bob]})).json()["users"] == [bob]
    plan = await plan_of(server, bob, server_with())
    assert plan.servers["far"].headers["Authorization"] == "Bearer of-ann"
    [listed] = (await client.get("/admin/api/credentials")).json()["credentials"]
    assert (listed["caller"], listed["callerName"], listed["users"]) == (ann, "ann", [bob])
    assert listed["lastUsedAt"].endswith(":00.000Z")
    assert "of-ann" not in json.dumps(listed)
    await put(as_caller, 1, "tickets", "of-bob")
    plan = await plan_of(server, bob, server_with())
    assert plan.servers["far"].headers["Authorization"] == "Bearer of-bob", "its own comes first"
    await as_caller(1, "DELETE", "/api/credentials/tickets")
    await client.put(path, json={"users": []})
    assert (await plan_of(server, bob, server_with())).servers == {}


async def test_a_deleted_credential_is_granted_to_nobody(two, client, server, store):
    """Catches a credential that is stored again and used by those who could use the one before."""
    (ann, bob), as_caller = two
    await put(as_caller, 0, "tickets")
    await client.put(f"/admin/api/callers/{ann}/credentials/tickets/users", json={"users": [bob]})
    await plan_of(server, bob, server_with())
    await as_caller(0, "DELETE", "/api/credentials/tickets")
    assert not [key for kind in ("granted", "grants", "credentials", "uses") for key in store.scan_iter(f"cg:{kind}:*")]
    await put(as_caller, 0, "tickets")
    assert (await plan_of(server, bob, server_with())).servers == {}
    await client.put(f"/admin/api/callers/{ann}/credentials/tickets/users", json={"users": [bob]})
    await plan_of(server, bob, server_with())
    for one in (ann, bob):
        await client.delete(f"/admin/api/callers/{one}")
    assert not [key for kind in ("granted", "grants", "credentials", "uses") for key in store.scan_iter(f"cg:{kind}:*")]


@pytest.mark.parametrize("leaves", [0, 1])
async def test_a_revocation_ends_the_grants_of_either_side(two, client, store, leaves):
    """Catches a grant that outlives its owner, or its user."""
    (ann, bob), as_caller = two
    await put(as_caller, 0, "tickets")
    await put(as_caller, 0, "team")
    for name in ("tickets", "team"):
        await client.put(f"/admin/api/callers/{ann}/credentials/{name}/users", json={"users": [bob]})
    await client.delete(f"/admin/api/callers/{(ann, bob)[leaves]}")
    assert not [key for kind in ("granted", "grants") for key in store.scan_iter(f"cg:{kind}:*")]


async def test_a_deletion_does_not_look_at_every_caller(two, server, store):
    """Catches a request of a caller that holds Redis for as long as there are many callers."""
    _, as_caller = two
    store.hset(keys.KEYS, mapping={f"caller {number}": "{}" for number in range(500)})
    await put(as_caller, 0, "tickets")
    store.config_resetstat()
    await as_caller(0, "DELETE", "/api/credentials/tickets")
    assert store.info("commandstats").get("cmdstat_hget", {"calls": 0})["calls"] < 10


async def test_a_wrong_grant_is_refused(two, client):
    (ann, bob), as_caller = two
    await put(as_caller, 0, "tickets")
    await put(as_caller, 1, "tickets")

    async def grant(owner, name, users):
        answer = await client.put(f"/admin/api/callers/{owner}/credentials/{name}/users", json={"users": users})
        return answer.status_code

    assert await grant(ann, "tickets", ["nobody"]) == 422
    assert await grant(ann, "tickets", [ann]) == 422
    assert await grant(ann, "tickets", "bob") == 422
    assert await grant(ann, "other", [bob]) == 404
    assert await grant("nobody", "tickets", [bob]) == 404
    assert await grant(f"{ann}:used", "tickets", [bob]) == 404
    assert await grant(ann, "tickets", ["x" * 65]) == 422
    assert await grant(ann, "tickets", [bob] * 1001) == 422
    assert await grant(ann, "..%2F", [bob]) == 404
    third = (await client.post("/admin/api/callers", json={"name": "third"})).json()["id"]
    assert await grant(ann, "tickets", [third]) == 200
    assert await grant(bob, "tickets", [third]) == 422
    assert (
        await as_caller(0, "PUT", f"/admin/api/callers/{bob}/credentials/tickets/users", users=[ann])
    ).status_code == 401


async def test_a_job_runs_on_a_granted_key(two, client, server):
    (ann, bob), as_caller = two
    await put(as_caller, 0, "key", kind="anthropic_api_key")
    assert (await as_caller(1, "POST", "/api/query", query="q", credential="key")).status_code == 422
    await client.put(f"/admin/api/callers/{ann}/credentials/key/users", json={"users": [bob]})
    assert (await as_caller(1, "POST", "/api/query", query="q", credential="key")).status_code == 202
    assert (await as_caller(0, "GET", "/api/credentials/key")).json()["lastUsedAt"] is None
    await run(server.url)
    assert (await as_caller(0, "GET", "/api/credentials/key")).json()["lastUsedAt"].endswith(":00.000Z")
    assert (await as_caller(1, "GET", "/api/credentials/key")).status_code == 404, "the owner's alone to read"


async def test_a_repository_is_cloned_with_a_granted_token(two, client, server):
    """Catches a grant that a submission respects and the worker does not, and a use that is not noted."""
    (ann, bob), as_caller = two
    url = "https://git.example/a.git"
    query = {"query": "q", "workspace": {"git": {"url": url, "credential": "robot"}}}
    grant = f"/admin/api/callers/{ann}/credentials/robot/users"
    job, plan = ClaimedJob(Claim("j", 1), {}, 0, 1000, "r", bob), GitPlan(repository_of(url), credential="robot")
    await put(as_caller, 0, "robot", "a-token", kind="git", hosts=["git.example"])
    assert (await as_caller(1, "POST", "/api/query", **query)).status_code == 422
    await client.put(grant, json={"users": [bob]})
    assert (await as_caller(1, "POST", "/api/query", **query)).status_code == 202
    assert (await as_caller(0, "GET", "/api/credentials/robot")).json()["lastUsedAt"] is None
    header = await git_authorization(job, plan, async_client(server.url), SETTINGS)
    assert base64.b64decode(header.removeprefix("Basic ")) == b"x-access-token:a-token"
    assert (await as_caller(0, "GET", "/api/credentials/robot")).json()["lastUsedAt"].endswith(":00.000Z")
    await client.put(grant, json={"users": []})
    with pytest.raises(CredentialUnavailableError):
        await git_authorization(job, plan, async_client(server.url), SETTINGS)


class _Elsewhere(BaseHTTPRequestHandler):
    """Sends every request to the host that its server names, and records the headers of those that arrive there."""

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        self.server.seen.append(dict(self.headers))  # type: ignore[attr-defined]
        self.send_response(307)
        self.send_header("Location", self.server.target)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def redirecting(target=""):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    server.seen, server.target = [], target  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_redirect_takes_no_header_to_another_host(tmp_path):
    """Catches a client that follows a redirect with the headers of the entry."""
    with redirecting() as second, redirecting(f"http://127.0.0.1:{second.server_port}/") as first:
        entry = {"type": "http", "url": f"http://127.0.0.1:{first.server_port}/", "headers": {"X-Key": "s3cret"}}
        async with mcp_run({"far": Server.model_validate(entry)}, tmp_path) as one:
            assert (await one.call("far", "echo"))["code"]
        assert first.seen
        assert second.seen == []


def command(server, *arguments):
    environment = {"PATH": "/usr/bin:/bin", "REDIS_URL": server.url, "USER": "ann"}
    return run_command("credentials", *arguments, folder=Path.cwd(), environment=environment)


async def test_the_command_line_lists_and_shares_credentials(two, server):
    (ann, bob), as_caller = two
    await put(as_caller, 0, "tickets", hosts=["tickets.example"])
    assert command(server, "share", ann, "tickets", "--with", bob).returncode == 0
    [listed] = json.loads(command(server, "list-all", "--json").stdout)
    assert (listed["caller"], listed["name"], listed["users"], listed["lastUsedAt"]) == (ann, "tickets", [bob], None)
    refused = command(server, "share", ann, "tickets", "--with", "nobody")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "see `claude-gateway keys list`" in refused.stderr
    shown = command(server, "list-all").stdout
    assert bob in shown
    assert "s3cret" not in shown


async def test_the_credentials_of_everybody_are_listed_without_keys(connect, server):
    client = await connect(
        AUTH_ENABLED="false", ADMIN_ENABLED="true", ADMIN_PASSWORD=PASSWORD, CREDENTIALS_PUBLIC_KEY=PUBLIC
    )
    await client.put("/api/credentials/mine", json={"kind": "header", "value": "x"})
    [listed] = (await client.get("/admin/api/credentials", auth=("admin", PASSWORD))).json()["credentials"]
    assert (listed["caller"], listed["name"]) == ("anonymous", "mine")
