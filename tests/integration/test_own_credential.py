"""Jobs on their callers' own keys, with the real CLI: Claude receives the key, the run does not."""

import json
import re
import stat

import pytest

from tests.support.commands import run_command
from tests.support.parameters import first_of
from tests.support.scripted_model import Error, Text, ToolUse
from tests.support.terminal import environment
from tests.support.waiting import until

pytestmark = pytest.mark.once
ADMIN = ("admin", "correct-horse-battery")
SECRET = "sk-ant-do0not0find0me00"


@pytest.fixture(scope="module")
def variables():
    return {
        "ADMIN_ENABLED": "true", "ADMIN_PASSWORD": ADMIN[1], "CLAUDE_TOOLS": "Bash", "CLAUDE_MAX_RETRIES": "1",
        "CACHE_TTL": "0", "LOG_LEVEL": "DEBUG",
        "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer of-a-proxy\nX-Extra: 1",
    }  # fmt: skip


@pytest.fixture
def put(gateway):
    def put(name="mine", value=SECRET, **fields):
        body = {"kind": "anthropic_api_key", "value": value, **fields}
        answer = gateway.client.put(f"/api/credentials/{name}", json=body)
        assert answer.status_code in {200, 201}, answer.text

    yield put
    for one in gateway.client.get("/api/credentials").json()["credentials"]:
        gateway.client.delete(f"/api/credentials/{one['name']}")


@pytest.fixture
def paused(gateway):
    """Let no job start until the test says so."""

    def post(action):
        assert gateway.client.post(f"/admin/api/queue/{action}", auth=ADMIN).status_code == 200

    post("pause")
    yield lambda: post("resume")
    post("resume")


def test_claude_receives_the_callers_key_and_other_jobs_the_deployments(gateway, model, put):
    put()
    assert gateway.ask("own", credential="mine")["state"] == "completed"
    own = model.requests[-1].headers
    assert own["x-api-key"] == SECRET
    assert own["x-extra"] == "1"
    assert "authorization" not in own, "a header of the deployment's may be another credential"
    put(value="another-key")
    assert gateway.ask("replaced", credential="mine")["state"] == "completed"
    assert model.requests[-1].headers["x-api-key"] == "another-key"
    assert gateway.ask("deployment")["state"] == "completed"
    assert (model.requests[-1].headers["x-api-key"], model.requests[-1].headers["authorization"]) == (
        "k",
        "Bearer of-a-proxy",
    )


def test_a_run_and_the_outside_find_no_trace_of_the_key(gateway, model, put, script):
    """Catches a key in a variable, a file, a process or a response of the run, in the job, its events or the log."""
    put()
    # Written so that it does not find itself.
    pattern = f"{SECRET[:7]}[{SECRET[7]}]{SECRET[8:]}"
    command = (
        f"(env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline) 2>/dev/null | tr '\\0' '\\n' |"
        f" grep -a -e '{pattern}' -e 'CREDENTIALS_PRIVATE_KE[Y]' -e ^CLAUDE_CONFIG_DIR | head -50;"
        f' grep -r \'{pattern}\' . "$HOME" "$CLAUDE_CONFIG_DIR"'
    )
    before = len(model.requests)
    script(lambda body: Text("done") if len(model.requests) > before + 1 else ToolUse("Bash", {"command": command}))
    job = gateway.ask("look around", tools=["Bash"], credential="mine")
    assert job["state"] == "completed", job
    assert model.requests[-1].headers["x-api-key"] == SECRET
    seen = json.dumps(model.requests[-1].body["messages"])
    assert "CLAUDE_CONFIG_DIR=" in seen, "it did not look"
    assert "CREDENTIALS_PRIVATE_KEY=" not in seen
    private = (gateway.data / "credentials.key").read_text()
    admin = gateway.client.get(f"/admin/api/jobs/{job['jobId']}", auth=ADMIN).text
    events = gateway.client.get(f"/api/query/{job['jobId']}/events").text
    for place in (seen, json.dumps(job), admin, events, "".join(gateway.log)):
        assert SECRET not in place
        assert private not in place
    assert json.loads(admin)["request"]["credential"] == "mine"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "kind", "code"),
    first_of(
        [
            (401, "authentication_error", "authentication_failed"),
            (403, "permission_error", "authentication_failed"),
            (402, "billing_error", "billing_error"),
        ]
    ),
)
def test_a_refused_key_fails_its_jobs_and_holds_no_other(gateway, model, put, script, status, kind, code):
    """Catches a queue that a caller's bad key holds for everybody."""
    put(value="a-bad-key")

    def refuse(body):
        is_bad = model.requests[-1].headers["x-api-key"] == "a-bad-key"
        return Error(status, kind, "the key a-bad-key is not valid") if is_bad else Text("ok")

    script(refuse)
    for number in range(5):  # three refusals in a row hold the queue
        job = gateway.ask(f"refused {status} {number}", credential="mine")
        assert (job["state"], job["error"]["code"]) == ("failed", code)
        assert "caller's credential" in job["error"]["message"]
        assert job["attempts"] == 1
    assert gateway.client.get("/health").json()["status"] == "ok"
    assert gateway.ask(f"not refused {status}")["state"] == "completed"
    admin = gateway.client.get(f"/admin/api/jobs/{job['jobId']}", auth=ADMIN).text
    assert "a-bad-key" not in admin + "".join(gateway.log), "an upstream repeats the key in its error"
    assert "[credential]" in admin


@pytest.mark.slow
def test_a_rate_limit_of_the_callers_account_delays_no_other_job(gateway, model, put, script):
    put(value="a-busy-key")

    def limit(body):
        is_busy = model.requests[-1].headers["x-api-key"] == "a-busy-key"
        return Error(429, "rate_limit_error", headers={"retry-after": "60"}) if is_busy else Text("ok")

    script(limit)
    job = gateway.ask("limited", credential="mine", timeoutMs=5000)
    assert (job["state"], job["error"]["code"]) == ("failed", "rate_limited")
    assert gateway.client.get("/health").json()["status"] == "ok"
    assert gateway.finished(gateway.submit("not limited"), timeout=20)["state"] == "completed"


@pytest.mark.parametrize("what", first_of(["deleted", "replaced", "other host"]))
def test_a_credential_that_is_gone_fails_the_job_with_a_code(gateway, model, put, paused, what):
    put(hosts=["api.anthropic.com"] if what == "other host" else [])
    job_id = gateway.submit(f"{what} credential", credential="mine")
    if what == "deleted":
        gateway.client.delete("/api/credentials/mine")
    elif what == "replaced":
        put(kind="git", value="token")
    before = len(model.requests)
    paused()
    job = gateway.finished(job_id)
    assert (job["state"], job["error"]["code"], job["error"]["retryable"]) == (
        "failed",
        "credential_unavailable",
        False,
    )
    assert len(model.requests) == before
    reason = {"deleted": "deleted", "replaced": "replaced", "other host": "hosts"}[what]
    until(lambda: [line for line in list(gateway.log) if "credential_unavailable" in line and reason in line])


@pytest.mark.slow
def test_make_run_keeps_its_private_key_from_others(gateway):
    key = gateway.data / "credentials.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text() not in "".join(gateway.log)


@pytest.fixture
def command(gateway, tmp_path):
    def command(*arguments, stdin="", **variables):
        variables = environment(gateway.url) | variables
        return run_command("credentials", *arguments, folder=tmp_path, environment=variables, stdin=stdin)

    return command


@pytest.mark.slow
@pytest.mark.long
def test_commands_store_list_and_delete_a_credential(gateway, model, put, command):
    stored = command("set", "by.command", "--host", "127.0.0.1", stdin=SECRET + "\n")
    assert (stored.returncode, stored.stdout) == (0, "")
    assert SECRET not in stored.stderr
    listed = command("list")
    assert "by.command" in listed.stdout
    [shown] = json.loads(command("list", "--json").stdout)["credentials"]
    assert (shown["kind"], shown["hosts"]) == ("anthropic_api_key", ["127.0.0.1"])
    assert gateway.ask("by command", credential="by.command")["state"] == "completed"
    assert model.requests[-1].headers["x-api-key"] == SECRET
    refused = command("set", "no name", stdin=SECRET)
    assert refused.returncode == 2
    assert SECRET not in refused.stderr
    assert command("delete", "by.command").returncode == 0
    gone = command("delete", "by.command")
    assert (gone.returncode, "not found" in gone.stderr.lower()) == (2, True)


@pytest.mark.slow
def test_a_rotation_seals_every_credential_with_the_new_key(gateway, model, put, command):
    put()
    put("token", kind="git", value="user:token")
    data = str(gateway.data)
    pair = command("key-pair").stdout
    [private] = re.findall(r"^CREDENTIALS_PRIVATE_KEY=(\S+)$", pair, re.MULTILINE)
    old = (gateway.data / "credentials.key").read_text()
    none = command("reseal", "--data", data, CREDENTIALS_PRIVATE_KEY=private)
    assert none.returncode == 1
    assert "no key of CREDENTIALS_PRIVATE_KEY opens it" in none.stderr
    done = command("reseal", "--data", data, CREDENTIALS_PRIVATE_KEY=f"{private} {old}")
    assert (done.returncode, done.stdout) == (0, "2 sealed again, 0 were already, 0 cannot be opened\n")
    again = command("reseal", "--data", data, CREDENTIALS_PRIVATE_KEY=private)
    assert again.stdout == "0 sealed again, 2 were already, 0 cannot be opened\n"
    # The worker of this gateway has the old key alone.
    assert gateway.ask("sealed with the new key", credential="mine")["error"]["code"] == "credential_unavailable"
    back = command("reseal", "--data", data, CREDENTIALS_PRIVATE_KEY=f"{old} {private}")
    assert back.stdout.startswith("2 sealed again")
    assert gateway.ask("sealed with the old key", credential="mine")["state"] == "completed"
    assert model.requests[-1].headers["x-api-key"] == SECRET
    assert SECRET not in "".join(one.stdout + one.stderr for one in (none, done, again, back))
