"""`network.allowedHosts` of a submission: a subset of RUN_ALLOWED_HOSTS."""

import json

import pytest

from shared.store import keys
from tests.support.slot import pop

HOSTS = "api.example.com,*.tools.example"


@pytest.fixture
async def client(connect, server):
    variables = {"CLAUDE_TOOLS": "Bash", "RUN_ALLOWED_HOSTS": HOSTS, "AUTH_ENABLED": "false", "DEDUP_ENABLED": "true"}
    return await connect(server.url, **variables)


def body(*hosts, **more):
    return {"query": "q", "tools": ["Bash"], "network": {"allowedHosts": list(hosts)}, **more}


async def stored(client, store, **request):
    job_id = (await client.post("/api/query", json=request)).json()["jobId"]
    return json.loads(store.get(keys.job_input(job_id)))


@pytest.mark.parametrize(
    "hosts",
    [
        ["api.example.com"], ["API.Example.com."], ["a.tools.example", "b.c.tools.example"], ["*.tools.example"],
        ["*.deep.tools.example"], [], ["api.example.com"] * 100,
    ],
)  # fmt: skip
async def test_hosts_of_the_deployment_are_accepted_in_one_form(client, store, hosts):
    request = await stored(client, store, **body(*hosts))
    assert request["network"] == {"allowedHosts": [host.lower().removesuffix(".") for host in hosts]}


@pytest.mark.parametrize("host", ["evil.example", "example.com", "tools.example", "*.example.com", "*.example", "x"])
async def test_another_host_is_403_and_named(client, store, host):
    answer = await client.post("/api/query", json=body("api.example.com", host))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (403, "forbidden")
    assert host in problem["detail"]
    assert "RUN_ALLOWED_HOSTS" in problem["detail"]
    assert [error["pointer"] for error in problem["errors"]] == ["/network/allowedHosts/1"]
    assert store.zcard(keys.WAITING) == 0


async def test_without_hosts_of_the_deployment_each_host_is_403(connect, server):
    client = await connect(server.url, CLAUDE_TOOLS="Bash", AUTH_ENABLED="false")
    assert (await client.post("/api/query", json=body("api.example.com"))).status_code == 403
    assert (await client.post("/api/query", json=body())).status_code == 202


@pytest.mark.parametrize(
    ("network", "pointer"),
    [
        ({"allowedHosts": ["127.0.0.1"]}, "/network/allowedHosts/0"),
        ({"allowedHosts": ["api.example.com:443"]}, "/network/allowedHosts/0"),
        ({"allowedHosts": ["https://api.example.com"]}, "/network/allowedHosts/0"),
        ({"allowedHosts": ["*"]}, "/network/allowedHosts/0"),
        ({"allowedHosts": ["bücher.tools.example"]}, "/network/allowedHosts/0"),
        ({"allowedHosts": ["a\0.tools.example"]}, "/network/allowedHosts/0"),
        ({"allowedHosts": [""]}, "/network/allowedHosts/0"),
        ({"allowedHosts": [1]}, "/network/allowedHosts/0"),
        ({"allowedHosts": ["a" * 300]}, "/network/allowedHosts/0"),
        ({"allowedHosts": ["api.example.com"] * 101}, "/network/allowedHosts"),
        ({"allowedHosts": "api.example.com"}, "/network/allowedHosts"),
        ({"allowedHosts": None}, "/network/allowedHosts"),
        ({}, "/network/allowedHosts"),
        ({"allowedHosts": [], "hosts": []}, "/network/hosts"),
        ([], "/network"),
        (False, "/network"),
    ],
)
async def test_what_is_no_list_of_names_is_422(client, network, pointer):
    answer = await client.post("/api/query", json={"query": "q", "tools": ["Bash"], "network": network})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_batch_is_403_for_one_host_and_names_its_query(client, store):
    answer = await client.post("/api/batches", json={"queries": [body("api.example.com"), body("evil.example")]})
    assert answer.status_code == 403
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/queries/1/network/allowedHosts/0"]
    assert store.zcard(keys.WAITING) == 0


async def test_hosts_make_no_difference_for_a_query_without_tools(client, server):
    first = (await client.post("/api/query", json={"query": "q"})).json()
    second = (await client.post("/api/query", json={"query": "q", "network": {"allowedHosts": []}})).json()
    assert (second["status"], second["jobId"]) == ("duplicate", first["jobId"])
    assert pop(server.url) is not None


async def test_an_idempotency_key_stands_for_hosts_in_one_form(client):
    headers = {"Idempotency-Key": "hosts"}
    first = await client.post("/api/query", json=body("api.example.com"), headers=headers)
    again = await client.post("/api/query", json=body("API.example.com."), headers=headers)
    other = await client.post("/api/query", json=body(), headers=headers)
    assert again.json() == first.json()
    assert other.json()["code"] == "idempotency_mismatch"
