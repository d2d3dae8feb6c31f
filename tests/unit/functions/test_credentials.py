"""The worker's side of a caller's credential: which can be used, and what a job on one shows of Claude."""

import json
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from functions.worker.jobs.credentials import CredentialUnavailableError, api_key_of, outcome_on_own_credential
from functions.worker.jobs.outcome import Outcome, failed
from functions.worker.relay.credential import OAUTH_BETA, Credential
from shared import sealing
from shared.configuration.settings import WorkerSettings
from shared.store.jobs.claims import Claim, ClaimedJob, Upstream

PUBLIC, PRIVATE = sealing.new_pair()
CLAUDE = urlsplit("https://api.anthropic.com")


def job_with(*, caller="caller", kind="anthropic_api_key", hosts=(), value="a-key", sealed_by="caller"):
    sealed = sealing.seal(sealing.Credential(sealed_by, "mine", kind, hosts, value), PUBLIC)
    entry = {"kind": kind, "hosts": hosts, "created": 1, "updated": 1, "key": "k", "sealed": sealed}
    return ClaimedJob(
        Claim("job", 1), {}, 0, 1000, "request", caller, credential=json.dumps(entry), credential_owner=caller
    )


def settings(key=PRIVATE):
    return WorkerSettings(credentials_private_key=key)


@pytest.mark.parametrize("hosts", [(), ("api.anthropic.com",), ("*.anthropic.com",)])
def test_a_worker_opens_the_key_of_a_job(hosts):
    assert api_key_of(job_with(hosts=hosts), "mine", settings(), CLAUDE) == "a-key"


@pytest.mark.parametrize(
    ("job", "key", "claude", "reason"),
    [
        ({}, "", CLAUDE, "CREDENTIALS_PRIVATE_KEY is not set"),
        ({}, sealing.new_pair()[1], CLAUDE, "no key"),
        ({}, PRIVATE, None, "cloud provider"),
        ({"kind": "git"}, PRIVATE, CLAUDE, "replaced"),
        ({"hosts": ("claude.example",)}, PRIVATE, CLAUDE, "hosts"),
        ({"sealed_by": "another caller"}, PRIVATE, CLAUDE, "sealed as another"),
    ],
    ids=["no setting", "another key", "cloud provider", "another kind", "another host", "another caller"],
)
def test_a_credential_that_cannot_be_used_is_logged_with_the_reason(caplog, job, key, claude, reason):
    with pytest.raises(CredentialUnavailableError):
        api_key_of(job_with(**job), "mine", settings(key), claude)
    [record] = caplog.records
    assert record.message == "credential_unavailable"
    fields = record.__dict__["fields"]
    assert reason in fields["reason"]
    assert fields["credential"] == "mine"
    assert "a-key" not in str(fields)


@pytest.mark.parametrize("code", ["authentication_failed", "billing_error", "rate_limited", "overloaded", None])
def test_a_job_on_a_callers_key_shows_nothing_of_the_deployment(code):
    """Catches a queue that one caller's key holds, and a hold that one caller's key ends."""
    plain = Outcome("completed", {"result": {}}) if code is None else failed(code, 5000)
    own = outcome_on_own_credential(plain)
    assert own.upstream == Upstream()
    assert (own.state, own.code, own.retry_after) == (plain.state, plain.code, plain.retry_after)
    if code in {"authentication_failed", "billing_error"}:
        assert plain.upstream.shows == "refused"
        assert "caller's credential" in own.body["error"]["message"]


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"])
def test_a_callers_key_replaces_every_credential_of_the_deployment(variable):
    headers = "Authorization: Bearer other\nX-Api-Key: other\nX-Extra: 1"
    deployment = Credential.of({variable: "of-the-deployment", "ANTHROPIC_CUSTOM_HEADERS": headers})
    sent = deployment.with_key("a-key").headers({"anthropic-beta": f"one,{OAUTH_BETA}"})
    assert sent == {"anthropic-beta": "one", "x-extra": "1", "x-api-key": "a-key"}
    assert "a-key" not in repr(deployment.with_key("a-key"))
    assert deployment.with_key("a-key").hide_in("a-key is wrong") == "[credential] is wrong"


def test_a_plan_hides_its_key():
    from functions.worker.cli.plan import RunPlan

    assert "a-key" not in repr(SimpleNamespace(plan=RunPlan(api_key="a-key")))
