"""The audit list: what operators and callers do is in it, with who, and nothing displaces it."""

import json
import logging
from pathlib import Path

import pytest
from redis.exceptions import OutOfMemoryError

from functions.admin import outputs
from shared import sealing
from shared.store.callers import audit, callers
from shared.store.redis.client import async_client
from tests.support.commands import run_command

PASSWORD = "a password for tests"
VARIABLES = {
    "AUTH_ENABLED": "true", "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": PASSWORD,
    "CREDENTIALS_PUBLIC_KEY": sealing.new_pair()[0], "CACHE_TTL": "0",
}  # fmt: skip


@pytest.fixture
async def admin(connect):
    client = await connect(**VARIABLES)
    client.auth = ("admin", PASSWORD)
    return client


@pytest.fixture
def entries(admin):
    async def entries(**parameters):
        return (await admin.get("/admin/api/audit", params=parameters)).json()["entries"]

    return entries


async def test_every_action_of_an_operator_is_in_the_list(admin, entries, server):
    """Catches an action of the dashboard that leaves no entry."""
    made = (await admin.post("/admin/api/callers", json={"name": "new"})).json()
    caller = f"/admin/api/callers/{made['id']}"
    key = {"X-API-Key": made["key"]}
    job = (await admin.post("/api/query", json={"query": "a secret query"}, headers=key, auth=None)).json()["jobId"]
    job_path = f"/admin/api/jobs/{job}"
    await admin.put("/api/credentials/c", json={"kind": "header", "value": "s3cret"}, headers=key, auth=None)
    steps = [
        ("PUT", f"{caller}/policy", {"weight": 2}), ("POST", f"{caller}/rotate", {}),
        ("PUT", f"{caller}/credentials/c/users", {"users": []}),
        ("POST", f"{job_path}/priority", {"priority": "high"}), ("POST", f"{job_path}/cancel", None),
        ("POST", f"{job_path}/retry", None), ("POST", f"{job_path}/cancel", None),
        ("POST", f"{job_path}/redeliver", None), ("DELETE", job_path, None),
        ("POST", "/admin/api/jobs/retry-failed", None), ("POST", "/admin/api/jobs/purge-finished", None),
        ("POST", "/admin/api/queue/pause", None), ("POST", "/admin/api/queue/resume", None),
        ("DELETE", "/admin/api/cache", None), ("DELETE", caller, None),
    ]  # fmt: skip
    for method, path, body in steps:
        answer = await admin.request(method, path, json=body)
        assert answer.status_code == 200, (path, answer.text)
    found = await entries(limit=100)
    assert [one["action"] for one in reversed(found)] == [
        "create_caller", "put_credential", "put_policy", "rotate_key", "grant_credential", "priority", "cancel",
        "retry", "cancel", "redeliver", "delete", "retry_failed", "purge_finished", "pause", "resume", "clear_cache",
        "revoke_caller",
    ]  # fmt: skip
    by_operators = [one for one in found if one["via"] == "admin_api"]
    assert {one["actor"] for one in by_operators} == {"admin"}
    assert all(one["requestId"] and one["address"] for one in found)
    policy = next(one for one in found if one["action"] == "put_policy")
    assert policy["details"] == {"caller": made["id"], "policy": {"weight": 2}}
    text = json.dumps(found)
    assert not any(
        secret in text for secret in (made["key"], made["webhookSecret"], "s3cret", "secret query", PASSWORD)
    )


async def test_a_refused_action_is_not_in_the_list(admin, entries):
    assert (await admin.post("/admin/api/jobs/x/cancel")).status_code == 404
    assert (await admin.put("/admin/api/callers/x/policy", json={})).status_code == 404
    assert await entries() == []


async def test_what_a_caller_does_with_credentials_is_in_the_list(admin, entries, server, caplog):
    caplog.set_level(logging.INFO, "audit")
    made = await callers.create(async_client(server.url), "ann")
    key = {"X-API-Key": made.key}
    body = {"kind": "header", "value": "s3cret"}
    await admin.put("/api/credentials/mine", json=body, headers=key, auth=None)
    await admin.delete("/api/credentials/mine", headers=key, auth=None)
    await admin.delete("/api/credentials/mine", headers=key, auth=None)
    found = [(one["action"], one["actor"], one["via"], one["details"]) for one in await entries()]
    details = {"credential": "mine"}
    assert found == [
        ("delete_credential", made.id, "api", details),
        ("put_credential", made.id, "api", details),
    ]
    logged = [vars(line)["fields"]["action"] for line in caplog.records if line.message == "caller_action"]
    assert logged == ["put_credential", "delete_credential"]


async def test_logins_and_failed_logins_are_in_the_list(admin, entries):
    admin.auth = None
    for password in ("wrong", PASSWORD):
        await admin.post("https://gateway/admin/login", json={"username": "admin", "password": password})
    await admin.post("https://gateway/admin/logout")
    await admin.post("https://gateway/admin/logout")
    admin.auth = ("admin", "wrong too")
    assert (await admin.get("/admin/api/stats")).status_code == 401
    admin.auth = ("admin", PASSWORD)
    found = await entries()
    assert [one["action"] for one in found] == ["login_failed", "logout", "login", "login_failed"]
    assert "wrong" not in json.dumps(found)


@pytest.mark.parametrize("cursor", ["0", "00", "1", "9" * 15])
async def test_every_cursor_of_the_form_is_taken(admin, entries, cursor):
    await admin.post("/admin/api/queue/pause")
    assert len(await entries(cursor=cursor)) == (cursor == "9" * 15)


async def test_what_a_key_does_in_the_dashboard_names_its_caller(admin, entries, server, monkeypatch):
    """Catches keys of the scope `admin-read` that are all one viewer."""
    made = await callers.create(async_client(server.url), "auditor", scopes=["admin-read"])

    async def download(job_id, file_id, settings):
        return {"path": "/api/downloads/x"}

    monkeypatch.setattr(outputs, "download", download)
    path = "/admin/api/jobs/01a00000-0000-7000-8000-000000000000/downloads"
    answer = await admin.post(path, json={"fileId": "f"}, headers={"X-API-Key": made.key}, auth=None)
    assert answer.status_code == 200
    [entry] = await entries()
    assert (entry["action"], entry["actor"], entry["via"]) == ("download", made.id, "admin_api")


async def append(server, source, number, keep_for=1000):
    act = audit.Act(f"act {number}", "a", "api")
    await audit.append(async_client(server.url), source, act, keep_for=keep_for)


async def test_callers_and_guesses_displace_no_entry_of_operators(admin, entries, server, monkeypatch):
    """Catches an attacker who fills the list until his first action has left it."""
    monkeypatch.setitem(audit.MOST, "callers", 5)
    monkeypatch.setitem(audit.MOST, "logins", 5)
    await admin.post("/admin/api/queue/pause")
    for number in range(20):
        await append(server, "callers", number)
        await append(server, "logins", number)
    found = await entries(limit=100)
    assert [one["action"] for one in found].count("pause") == 1
    assert len(found) == 11


async def test_the_list_is_paged_over_its_sources(admin, server):
    for number in range(11):
        await append(server, ("operators", "callers", "logins")[number % 3], number)
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        answer = await admin.get("/admin/api/audit", params={"limit": 4, **({"cursor": cursor} if cursor else {})})
        seen += [one["action"] for one in answer.json()["entries"]]
        cursor, pages = answer.json()["nextCursor"], pages + 1
    assert seen == [f"act {number}" for number in reversed(range(11))]
    assert pages == 3


async def test_an_old_entry_is_neither_shown_nor_kept(admin, connect, server, store):
    await append(server, "operators", 1)
    client = await connect(**VARIABLES, AUDIT_TTL="1")
    store.xadd("cg:audit:callers", {"id": "x", "at": 1, "entry": "{}"}, id="7-0")
    listed = (await client.get("/admin/api/audit", auth=("admin", PASSWORD))).json()
    assert "7" not in [one["id"] for one in listed["entries"]]
    store.incrby("cg:audit:seq", 10)
    await append(server, "callers", 2)
    assert [fields["id"] for _, fields in store.xrange("cg:audit:callers") if fields["id"] == "x"] == []


async def test_an_entry_that_is_sent_twice_is_there_once(admin, server, store, monkeypatch):
    monkeypatch.setattr(audit, "new_id", lambda: "same")
    await append(server, "operators", 1)
    await append(server, "operators", 1)
    assert store.xlen("cg:audit:operators") == 1


async def test_an_action_counts_when_its_entry_cannot_be_stored(admin, server, monkeypatch, caplog):
    """Catches a revocation that a full store answers with 503 although it is done."""
    caplog.set_level(logging.INFO)

    async def full(*_arguments, **_fields):
        raise OutOfMemoryError

    monkeypatch.setattr(audit, "append", full)
    made = await callers.create(async_client(server.url), "ann")
    assert (await admin.delete(f"/admin/api/callers/{made.id}")).status_code == 200
    assert {"admin_action", "audit_not_stored"} <= {line.message for line in caplog.records}


@pytest.mark.parametrize("parameters", [{"limit": 0}, {"limit": 101}, {"cursor": "x"}, {"cursor": "1-0"}, {"more": 1}])
async def test_a_wrong_page_of_the_list_is_refused(admin, parameters):
    assert (await admin.get("/admin/api/audit", params=parameters)).status_code == 422


async def test_only_operators_read_the_list(admin, server):
    for scopes, status in ((["submit", "read", "decide"], 401), (["admin-read"], 200)):
        made = await callers.create(async_client(server.url), scopes[0], scopes=scopes)
        answer = await admin.get("/admin/api/audit", headers={"X-API-Key": made.key}, auth=None)
        assert answer.status_code == status


def command(server, *arguments):
    environment = {"PATH": "/usr/bin:/bin", "REDIS_URL": server.url, "USER": "ann", "COLUMNS": "200"}
    return run_command(*arguments, folder=Path.cwd(), environment=environment)


def test_the_command_line_adds_to_the_list_and_shows_it(server, store):
    made = json.loads(command(server, "keys", "create", "n", "--json").stdout)
    command(server, "keys", "rotate", made["id"], "--overlap", "0")
    command(server, "keys", "revoke", made["id"])
    found = json.loads(command(server, "audit", "--json").stdout)
    assert [(one["action"], one["actor"]) for one in reversed(found)] == [
        ("key_created", "ann"),
        ("key_rotated", "ann"),
        ("key_revoked", "ann"),
    ]
    assert {one["details"]["caller"] for one in found} == {made["id"]}
    table = command(server, "audit", "--limit", "2").stdout
    assert "key_revoked" in table
    assert "key_created" not in table
    assert made["key"] not in json.dumps(found)
