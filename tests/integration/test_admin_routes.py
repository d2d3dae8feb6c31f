"""What holds for every route of the admin API, as the OpenAPI document lists them."""

import re

import pytest

from shared.store.callers import callers
from shared.store.redis.client import async_client
from tests.integration.test_admin import ON, VIEWER, basic, submit
from tests.support.slot import run

# POST only for its body: a viewer may try the router and read files.
READS = {("post", "/admin/api/mcp/route"), ("post", "/admin/api/jobs/{jobId}/downloads")}
CROSS_SITE = {"Origin": "https://other.example", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture
async def client(connect):
    return await connect(**ON)


async def routes(client):
    document = (await client.get("/openapi.json")).json()["paths"]
    return [(method, path) for path, found in document.items() if path.startswith("/admin/api") for method in found]


async def test_a_viewer_changes_nothing_by_any_route(client, store):
    """Catches a new route that forgets the role, or the check for requests of other sites."""
    changing = [one for one in await routes(client) if one[0] != "get" and one not in READS]
    assert len(changing) > 20
    before = {key: store.dump(key) for key in store.scan_iter()}
    for method, path in changing:
        answer = await client.request(method, re.sub(r"{\w+}", "x", path), headers=basic(VIEWER), json={})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    guesses = {"cg:guessers", "cg:guesses:127.0.0.1"}
    assert {key: store.dump(key) for key in store.scan_iter() if key not in guesses} == before
    for method, path in [*changing, *READS]:
        headers = {**basic(), **CROSS_SITE}
        answer = await client.request(method, re.sub(r"{\w+}", "x", path), headers=headers, json={})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path


async def test_each_read_takes_three_round_trips_at_most(client, server, round_trips):
    """Catches a page that asks Redis once for each of its rows."""
    for number in range(12):
        await callers.create(async_client(server.url), f"caller {number}")
        await client.post("/api/batches", json={"queries": [{"query": f"{number}"}, {"query": "b"}]})
        schedule = {"name": f"n{number}", "cron": "0 0 1 1 *", "query": {"query": "q"}}
        made = (await client.post("/api/schedules", json=schedule)).json()
    job = await submit(client, "q", session=True)
    for _ in range(3):
        await run(server.url)
    place = {"jobId": job, "scheduleId": made["scheduleId"], "callerId": (await caller_ids(client))[0]}
    taken = {}
    for method, path in await routes(client):
        if method != "get":
            continue
        url = re.sub(r"{(\w+)}", lambda found: place[found[1]], path)
        assert (await client.get(url, headers=basic())).status_code == 200, path
        round_trips.clear()
        await client.get(url, headers=basic())
        taken[path] = len(round_trips)
    # Where it is four, two are sent side by side.
    assert {path: count for path, count in taken.items() if count > 4} == {}, taken


async def caller_ids(client):
    return [one["id"] for one in (await client.get("/admin/api/callers", headers=basic())).json()["callers"]]
