"""Access to the dashboard: sessions, guesses, cross-site requests and proxies."""

import asyncio

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from functions.admin import credentials
from local.app import app
from shared.configuration.settings import load
from shared.store import keys
from shared.store.callers import dashboard_sessions
from shared.store.redis.client import async_client
from tests.integration.test_admin import CHANGES, PASSWORD, VIEWER, basic
from tests.integration.test_admin import ON as ADMIN_ON

LOGIN = {"username": "admin", "password": PASSWORD}
HTTPS = "https://gateway"
STATS = "/admin/api/stats"

# Without keys only known hosts are served, and many of these tests use other hosts.
ON = {**ADMIN_ON, "AUTH_ENABLED": "true"}


@pytest.fixture(scope="module")
def variables():
    """The variables of the gateway of a real server."""
    return ON


@pytest.fixture
async def login(connect):
    """Log in over HTTPS with a body, and return the header with the session cookie."""

    async def login(body=LOGIN, **variables):
        client = await connect(**ON, **variables)
        answer = await client.post(f"{HTTPS}/admin/login", json=body)
        assert answer.status_code == 200, answer.text
        client.cookies.clear()
        return client, {"Cookie": answer.headers["set-cookie"].partition(";")[0]}

    return login


def set_password(monkeypatch, **variables):
    """Change the variables of this process, as a restart does."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    load.cache_clear()


def from_address(address):
    """Return a client that connects from an address."""
    transport = httpx.ASGITransport(app, client=(address, 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


async def status_from(address, password=PASSWORD, path=STATS, **headers):
    async with from_address(address) as client:
        return (await client.get(path, headers={**basic(password), **headers})).status_code


# Sessions


async def test_a_login_sets_a_cookie_that_ends_at_logout(connect):
    client = await connect(**ON)
    assert (await client.get("/admin/session")).json() == {"role": None}
    wrong = await client.post(f"{HTTPS}/admin/login", json={"username": "admin", "password": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthorized")
    right = await client.post(f"{HTTPS}/admin/login", json={"username": "admin", "password": VIEWER})
    assert right.json() == {"role": "viewer"}
    cookie = right.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/admin;", "secure"))
    client.cookies.clear()
    held = {"Cookie": right.headers["set-cookie"].partition(";")[0]}
    assert (await client.get("/admin/session", headers=held)).json() == {"role": "viewer"}
    assert (await client.get(STATS, headers=held)).status_code == 200
    gone = await client.post(f"{HTTPS}/admin/logout", headers=held)
    assert all(part in gone.headers["set-cookie"] for part in ("Path=/admin", "Max-Age=0", "Secure", "HttpOnly"))
    assert (await client.get(STATS, headers=held)).status_code == 401


@pytest.mark.parametrize(
    ("password", "changed"),
    [
        (PASSWORD, {"ADMIN_PASSWORD": "another long password"}),
        (VIEWER, {"ADMIN_VIEWER_PASSWORD": "another long password"}),
        (VIEWER, {"ADMIN_VIEWER_PASSWORD": ""}),
        (PASSWORD, {"ADMIN_USERNAME": "root"}),
    ],
)
async def test_a_changed_password_ends_its_sessions(login, monkeypatch, password, changed):
    client, held = await login({**LOGIN, "password": password})
    assert (await client.get(STATS, headers=held)).status_code == 200
    set_password(monkeypatch, **changed)
    assert (await client.get(STATS, headers=held)).status_code == 401
    assert (await client.get("/admin/session", headers=held)).json() == {"role": None}


async def test_a_changed_password_leaves_the_other_roles_sessions(login, monkeypatch):
    client, held = await login({**LOGIN, "password": VIEWER})
    set_password(monkeypatch, ADMIN_PASSWORD="another long password")
    assert (await client.get(STATS, headers=held)).status_code == 200


async def test_a_process_with_the_old_password_keeps_new_sessions(login, monkeypatch):
    # During a rolling deployment old and new processes serve the same browser.
    client, held = await login()
    set_password(monkeypatch, ADMIN_PASSWORD="another long password")
    assert (await client.get(STATS, headers=held)).status_code == 401
    set_password(monkeypatch, ADMIN_PASSWORD=PASSWORD)
    assert (await client.get(STATS, headers=held)).status_code == 200


async def test_a_session_ends_when_idle_and_after_a_week_in_all(login, store):
    client, held = await login()
    [key] = store.scan_iter("cg:session:*")
    assert 0 < store.pttl(key) <= 8 * 3_600_000
    store.pexpire(key, 1000)
    assert (await client.get(STATS, headers=held)).status_code == 200
    assert store.pttl(key) > 7 * 3_600_000
    role, proof, ends = store.get(key).split()
    week = int(ends) - store.time()[0] * 1000
    assert 7 * 86_400_000 - 60_000 < week <= 7 * 86_400_000 + 1000
    # A request in the last hour extends the session to its end and no further.
    store.set(key, f"{role} {proof} {int(ends) - 7 * 86_400_000 + 3_600_000}")
    assert (await client.get(STATS, headers=held)).status_code == 200
    assert 0 < store.pttl(key) <= 3_600_000
    store.set(key, f"{role} {proof} {store.time()[0] * 1000}")
    assert (await client.get(STATS, headers=held)).status_code == 401
    assert not store.exists(key)


async def test_a_session_cannot_be_made_by_writing_to_the_store(login, store):
    client, held = await login({**LOGIN, "password": VIEWER})
    [key] = store.scan_iter("cg:session:*")
    _, proof, ends = store.get(key).split()
    for record in ("admin", f"admin {proof} {ends}", f"admin {'0' * 64} {ends}", "", "x y z", f"root {proof} {ends}"):
        store.set(key, record)
        assert (await client.get(STATS, headers=held)).status_code == 401, record


async def test_a_login_ends_the_session_that_the_browser_had(login, store):
    client, held = await login()
    again = await client.post(f"{HTTPS}/admin/login", json=LOGIN, headers=held)
    fresh = {"Cookie": again.headers["set-cookie"].partition(";")[0]}
    assert fresh != held
    client.cookies.clear()
    assert (await client.get(STATS, headers=held)).status_code == 401
    assert (await client.get(STATS, headers=fresh)).status_code == 200
    # A token that was planted before the login never becomes the session's.
    planted = {"Cookie": "cg_admin=planted"}
    assert (
        "planted" not in (await client.post(f"{HTTPS}/admin/login", json=LOGIN, headers=planted)).headers["set-cookie"]
    )


async def test_no_password_is_in_the_store_or_in_the_log(login, store, caplog):
    client, _ = await login()
    await client.get(STATS, headers=basic("a wrong password"))
    kept = b" ".join(store.dump(key) for key in store.scan_iter("cg:*"))
    for secret in (PASSWORD, VIEWER, "a wrong password"):
        assert secret.encode() not in kept
        assert secret not in caplog.text


# Guesses


@pytest.fixture
def compared(monkeypatch):
    """Collect the passwords that are compared."""
    seen = []
    compare = credentials.role_for

    def counted(username, password, settings):
        seen.append(password)
        return compare(username, password, settings)

    monkeypatch.setattr(credentials, "role_for", counted)
    return seen


@pytest.mark.parametrize("way", ["basic", "login"])
async def test_of_sixty_guesses_at_once_five_are_compared(connect, compared, way):
    client = await connect(**ON)

    async def guess(number):
        if way == "basic":
            return await client.get(STATS, headers=basic(f"guess {number}"))
        body = {"username": "admin", "password": f"guess {number}"}
        return await client.post(f"{HTTPS}/admin/login", json=body)

    answers = await asyncio.gather(*(guess(number) for number in range(60)))
    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 55
    assert len(compared) == 5


async def test_a_locked_address_stays_locked_for_a_right_password(connect, store):
    client = await connect(**ON)
    for number in range(5):
        assert (await client.get(STATS, headers=basic(f"guess {number}"))).status_code == 401
    answer = await client.get(STATS, headers=basic())
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert "5 different passwords" in answer.json()["detail"]
    [key] = store.scan_iter("cg:guesses:*")
    assert 0 < store.pttl(key) <= 60_000
    store.delete(key)
    assert (await client.get(STATS, headers=basic())).status_code == 200


async def test_a_locked_address_does_not_learn_which_password_was_right(connect, compared):
    # A script with the right password shares the attacker's address: otherwise each guess would be answered.
    client = await connect(**ON)
    assert (await client.get(STATS, headers=basic())).status_code == 200
    for number in range(5):
        await client.get(STATS, headers=basic(f"guess {number}"))
    compared.clear()
    assert (await client.get(STATS, headers=basic())).status_code == 429
    assert compared == []


async def test_a_right_password_is_never_locked_by_its_own_use(connect):
    client = await connect(**ON)

    async def statuses(password):
        # A cheap path, so that the test opens few connections.
        answers = [client.get("/admin/api/callers", headers=basic(password)) for _ in range(20)]
        return {answer.status_code for answer in await asyncio.gather(*answers)}

    assert await statuses(PASSWORD) == {200}
    # A script that retries one wrong password does not lock others out either.
    assert await statuses("old password") == {401}
    assert await statuses(PASSWORD) == {200}


async def test_guesses_of_many_addresses_lock_no_other_address(connect):
    await connect(**ON)
    for number in range(110):
        assert await status_from(f"10.0.0.{number}", "wrong") == 401
    assert await status_from("10.0.1.1") == 200


async def test_the_addresses_of_one_ipv6_network_are_one_client(connect):
    await connect(**ON)
    seen = [await status_from(f"2001:db8::{number:x}", f"guess {number}") for number in range(1, 8)]
    assert seen == [401] * 5 + [429] * 2
    assert await status_from("2001:db8:0:1::1") == 200


async def test_a_session_continues_at_a_locked_address(login):
    client, held = await login()
    for number in range(7):
        await client.get(STATS, headers=basic(f"guess {number}"))
    assert (await client.get(STATS, headers=basic())).status_code == 429
    assert (await client.get(STATS, headers=held)).status_code == 200


async def test_the_count_of_guesses_is_bounded(connect, server, store, monkeypatch):
    await connect(**ON)
    monkeypatch.setattr(dashboard_sessions, "ADDRESSES", 10)
    client = async_client(server.url)
    for address in range(40):
        for number in range(9):
            await dashboard_sessions.count_guess(client, f"10.0.0.{address}", f"{number}")
    kept = list(store.scan_iter("cg:guesses:*"))
    assert len(kept) == 10
    assert {store.scard(key) for key in kept} == {dashboard_sessions.GUESSES + 1}
    assert store.zcard("cg:guessers") == 10
    assert all(0 < store.pttl(key) <= 60_000 for key in [*kept, "cg:guessers"])


async def test_behind_a_trusted_proxy_each_client_has_its_own_limit(connect):
    await connect(**ON, TRUSTED_PROXIES="10.0.0.1")
    for number in range(6):
        await status_from("10.0.0.1", f"guess {number}", **{"X-Forwarded-For": "6.6.6.6"})
    assert await status_from("10.0.0.1", **{"X-Forwarded-For": "6.6.6.6"}) == 429
    assert await status_from("10.0.0.1", **{"X-Forwarded-For": "7.7.7.7"}) == 200
    # The attacker's own entry is not the client.
    assert await status_from("10.0.0.1", **{"X-Forwarded-For": "7.7.7.7, 6.6.6.6"}) == 429


async def test_without_trusted_proxies_a_header_changes_no_address(connect):
    await connect(**ON)
    guesses = [
        await status_from("127.0.0.1", f"guess {number}", **{"X-Forwarded-For": f"6.6.6.{number}"})
        for number in range(8)
    ]
    assert guesses == [401] * 5 + [429] * 3


@pytest.mark.slow
@pytest.mark.long
async def test_a_real_server_ignores_proxy_headers_from_loopback(gateway):
    # uvicorn would also read these headers.
    seen = [
        gateway.client.get(
            STATS, headers={**basic(f"guess {number}"), "X-Forwarded-For": f"6.6.6.{number}"}
        ).status_code
        for number in range(7)
    ]
    assert seen == [401] * 5 + [429] * 2
    stated = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "Host": "gateway.example"}
    answer = gateway.client.post("/admin/login", json=LOGIN, headers=stated)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


# Cross-site requests, and parsed headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "anything"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://["},
        {"Origin": "http://[", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://gateway:81"},
        {"Origin": "http://gateway.evil.example"},
        {"Origin": "http://gateway/"},
        {"Origin": "http://gateway, http://evil.example"},
        {"Origin": "gateway"},
    ],
    ids=str,
)
async def test_a_cross_site_change_is_refused(connect, store, headers):
    client = await connect(**ON)
    for method, path in [*CHANGES, ("POST", "/admin/login"), ("POST", "/admin/logout")]:
        answer = await client.request(method, path.format(job="x"), headers={**basic(), **headers}, json={})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    assert not store.exists(keys.PAUSED)


@pytest.mark.parametrize(
    ("origin", "url", "status"),
    [
        ("http://gateway", "http://gateway", 200),
        ("HTTP://GATEWAY.:80", "http://gateway", 200),
        ("http://gateway:3000", "http://Gateway:3000", 200),
        ("https://gateway", "https://gateway:443", 200),
        ("http://xn--bcher-kva.example", "http://b\u00fccher.example", 200),
        # A proxy that terminates TLS and adds no header: the page has the same host.
        ("https://gateway", "http://gateway", 200),
        # A page over plain HTTP cannot change anything over HTTPS.
        ("http://gateway", "https://gateway", 403),
        ("https://gateway:8443", "https://gateway", 403),
    ],
)
async def test_an_origin_is_compared_with_the_host_by_its_parts(connect, origin, url, status):
    client = await connect(**ON)
    headers = {**basic(), "Origin": origin}
    assert (await client.post(f"{url}/admin/api/queue/resume", headers=headers)).status_code == status


async def test_a_trusted_proxy_names_the_public_host_of_the_browser(connect):
    client = await connect(**ON, TRUSTED_PROXIES="127.0.0.1")
    proxied = {**basic(), "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "gw.example", "X-Forwarded-Proto": "https"}
    resume = "http://127.0.0.1:3000/admin/api/queue/resume"
    for origin, status in (("https://gw.example", 200), ("https://evil.example", 403), ("http://127.0.0.1:3000", 403)):
        assert (await client.post(resume, headers={**proxied, "Origin": origin})).status_code == status
    # From any other peer the same headers are ignored.
    client = await connect(**ON, TRUSTED_PROXIES="10.0.0.1")
    assert (await client.post(resume, headers={**proxied, "Origin": "https://gw.example"})).status_code == 403


async def test_sec_fetch_site_decides_where_a_proxy_rewrites_the_host(connect):
    client = await connect(**ON)
    headers = {**basic(), "Origin": "https://gw.example", "Sec-Fetch-Site": "same-origin"}
    assert (await client.post("http://127.0.0.1:3000/admin/api/queue/resume", headers=headers)).status_code == 200


HEADERS = ["origin", "host", "cookie", "authorization", "sec-fetch-site", "x-forwarded-for", "x-forwarded-proto",
           "x-forwarded-host", "content-type", "content-length"]  # fmt: skip


@given(
    st.sampled_from([("GET", STATS), ("GET", "/admin/session"), ("POST", "/admin/login"), ("POST", "/admin/logout")]),
    st.lists(st.tuples(st.sampled_from(HEADERS), st.binary(max_size=40)), max_size=4),
)
@example(("POST", "/admin/login"), [("origin", b"http://[")])
@example(("GET", STATS), [("authorization", b"Basic \xe9")])
@example(("GET", STATS), [("authorization", b"Basic gA==")])
@example(("GET", STATS), [("authorization", b"Basic 7aCA")])
@example(("POST", "/admin/login"), [("host", b"[")])
@example(("POST", "/admin/logout"), [("cookie", b'cg_admin="\\777\xff')])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
async def test_no_header_is_a_server_error(connect, request_, headers):
    client = await connect(**ON, TRUSTED_PROXIES="127.0.0.1")
    method, path = request_
    raw = [(name.encode(), value) for name, value in headers]
    answer = await client.request(method, path, headers=raw, content=b"{}" if method == "POST" else None)
    assert answer.status_code < 500


# Plain HTTP, and prefixes


async def test_a_login_over_plain_http_explains_why_it_is_refused(connect, compared):
    client = await connect(**ON)
    for headers in ({}, {"Origin": "http://gateway"}):
        answer = await client.post("/admin/login", json=LOGIN, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert all(
            word in answer.json()["detail"] for word in ("HTTPS", "cookie", "TRUSTED_PROXIES", "X-Forwarded-Proto")
        )
        assert "set-cookie" not in answer.headers
    assert compared == []


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "[::1]:3000", "gw.localhost"])
async def test_on_loopback_the_cookie_needs_no_https(connect, host):
    client = await connect(**ON)
    answer = await client.post(f"http://{host}/admin/login", json=LOGIN)
    assert answer.status_code == 200
    assert "secure" not in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"},
        {"Origin": "https://gateway"},
    ],
    ids=str,
)
async def test_the_cookie_is_secure_where_a_proxy_terminates_tls(connect, headers):
    client = await connect(**ON, TRUSTED_PROXIES="127.0.0.1")
    answer = await client.post("/admin/login", json=LOGIN, headers=headers)
    assert answer.status_code == 200
    assert "; Secure" in answer.headers["set-cookie"]


async def test_under_a_prefix_the_cookie_and_the_locations_have_it(connect):
    client = await connect(**ADMIN_ON, ROOT_PATH="/gateway")
    answer = await client.post(f"{HTTPS}/gateway/admin/login", json=LOGIN)
    assert "Path=/gateway/admin;" in answer.headers["set-cookie"]
    page = (await client.get("/gateway/admin")).text
    assert 'href="/' not in page
    assert 'src="/' not in page
    assert (await client.get("/gateway/admin/static/api.js")).status_code == 200
    query = await client.post("/gateway/api/query", json={"query": "q"})
    assert query.headers["location"] == f"/gateway/api/query/{query.json()['jobId']}"
    assert (await client.get(query.headers["location"])).status_code == 200
    batch = await client.post("/api/batches", json={"queries": [{"query": "q"}]})
    assert batch.headers["location"].startswith("/gateway/api/batches/")
    assert (await client.get(batch.headers["location"])).status_code == 200


async def test_the_access_log_names_the_client_and_not_the_proxy(connect, caplog):
    caplog.set_level("INFO", "http")
    client = await connect(**ON, TRUSTED_PROXIES="127.0.0.1")
    await client.get(STATS, headers={"X-Forwarded-For": "6.6.6.6"})
    [line] = [record for record in caplog.records if record.getMessage() == "request"]
    assert vars(line)["fields"]["address"] == "6.6.6.6"
