"""The caller's own credentials of a job: opened here, by the worker alone, and handed to the run's relay."""

import base64
import logging
from dataclasses import replace
from urllib.parse import SplitResult

import redis.asyncio

from functions.worker.cli.plan import GitPlan
from functions.worker.jobs.outcome import Outcome
from shared.configuration.settings import WorkerSettings
from shared.logs import event
from shared.sealing import Credential, NotOpenedError, open_sealed
from shared.store.callers import credentials
from shared.store.callers.credentials import SealedCredential, UsableCredential
from shared.store.jobs.claims import ClaimedJob

log = logging.getLogger("worker.credentials")

KIND, GIT = "anthropic_api_key", "git"
_TOKEN_USER = "x-access-token"  # noqa: S105 -- a name
_MESSAGES = {
    "authentication_failed": "Claude did not accept the caller's credential; store a valid key under its name",
    "billing_error": "Claude refused the caller's credential for a reason of billing",
    "rate_limited": "The rate limit of the caller's own Claude account was reached",
    "model_not_found": "Claude does not know the model, or it is not open to the account of the caller's credential",
}


class CredentialUnavailableError(Exception):
    """The credential that a job names cannot be used; the log has the reason."""


def api_key_of(job: ClaimedJob, name: str, settings: WorkerSettings, messages_api: SplitResult | None) -> str:
    """Open the API key that a job names.

    `messages_api` is where the relay sends requests; None without a relay. Raises CredentialUnavailableError.
    """
    try:
        return _opened(job, name, settings, messages_api).value
    except NotOpenedError as error:
        ids = {"job_id": job.claim.job_id, "request_id": job.request_id}
        event(log, "credential_unavailable", logging.WARNING, **ids, credential=name, reason=str(error))
        raise CredentialUnavailableError from None


def _opened(job: ClaimedJob, name: str, settings: WorkerSettings, messages_api: SplitResult | None) -> Credential:
    if not job.credential:
        raise NotOpenedError("it was deleted")
    if messages_api is None:
        raise NotOpenedError("runs reach Claude through a cloud provider, which takes no API key")
    stored = SealedCredential.parse(name, job.credential)
    credential = opened(UsableCredential(job.credential_owner, stored), KIND, settings)
    if not credential.may_go_to(messages_api.hostname or ""):
        raise NotOpenedError("its hosts do not include the host of the Messages API")
    return credential


def opened(found: UsableCredential, kind: str, settings: WorkerSettings) -> Credential:
    """Open a credential of a kind; raises NotOpenedError."""
    stored = found.stored
    if stored.kind != kind:
        raise NotOpenedError(f"it was replaced by one of the kind {stored.kind}")
    privates = [key.get_secret_value() for key in settings.credentials_private_key]
    return open_sealed(stored.sealed, privates, Credential(found.owner, stored.name, stored.kind, stored.hosts, ""))


async def git_authorization(
    job: ClaimedJob, git: GitPlan, client: redis.asyncio.Redis, settings: WorkerSettings
) -> str:
    """Return the header by which a git server knows the caller; "" for a repository without a credential.

    Raises CredentialUnavailableError, or what Redis raises.
    """
    if git.credential is None:
        return ""
    found = await credentials.use(client, job.caller, [git.credential])
    try:
        value = _opened_for_git(found.get(git.credential), git, settings).value
    except NotOpenedError as error:
        ids = {"job_id": job.claim.job_id, "request_id": job.request_id}
        event(log, "credential_unavailable", logging.WARNING, **ids, credential=git.credential, reason=str(error))
        raise CredentialUnavailableError from None
    # Servers that take a token as the password take any name with it.
    pair = value if ":" in value else f"{_TOKEN_USER}:{value}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _opened_for_git(found: UsableCredential | None, git: GitPlan, settings: WorkerSettings) -> Credential:
    if found is None:
        raise NotOpenedError("it was deleted")
    credential = opened(found, GIT, settings)
    if not credential.may_go_to(git.repository.target.host):
        raise NotOpenedError("its hosts do not include the host of the repository")
    return credential


def outcome_on_own_credential(outcome: Outcome) -> Outcome:
    """Return the outcome of a job on its caller's credential: it shows nothing of the deployment's credential."""
    body, code = outcome.body, outcome.code
    if code in _MESSAGES:
        body = {"error": {**body["error"], "message": _MESSAGES[code]}}
    return replace(outcome, body=body, shows_upstream=False)
