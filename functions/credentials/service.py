"""Callers' credentials: stored sealed, listed without their values, deleted."""

import logging
import re

from shared.api.credentials import MAX_CREDENTIALS, CredentialList, CredentialRequest, StoredCredential
from shared.api.errors import FieldError, InvalidRequest, KeyRevoked, NotFound, TooManyCredentials
from shared.api.ids import CREDENTIAL_NAME
from shared.api.times import rfc3339, when
from shared.configuration.settings import CredentialsSettings
from shared.logs import event
from shared.services import auditing
from shared.store.callers import credentials
from shared.store.callers.audit import Act
from shared.store.callers.credentials import SealedCredential
from shared.store.redis.client import async_client

log = logging.getLogger("audit")

_MISSING = "Credential not found"


async def put(
    name: str, request: CredentialRequest, *, caller: str, settings: CredentialsSettings
) -> tuple[StoredCredential, bool]:
    """Seal and store a credential; return it without its value, and whether it is new.

    Raises NotFound where no credential can be stored, InvalidRequest for a name, TooManyCredentials, or KeyRevoked.
    """
    # Here and not at import: a cold start of the other routes does without libsodium.
    from shared import sealing  # noqa: PLC0415

    public = settings.credentials_public_key
    if public is None:
        raise NotFound("This deployment stores no credentials: the operator has not set CREDENTIALS_PUBLIC_KEY")
    if not _is_name(name):
        message = "should be 1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or a digit"
        raise InvalidRequest(f"name: {message}", errors=(FieldError("/name", message),))
    hosts = tuple(request.hosts)
    credential = sealing.Credential(caller, name, request.kind, hosts, request.value.get_secret_value())
    outcome, stored = await credentials.put(
        async_client(settings.redis_address),
        caller,
        name,
        kind=request.kind,
        hosts=hosts,
        key=sealing.key_id(public),
        sealed=sealing.seal(credential, public),
        most=MAX_CREDENTIALS,
    )
    if outcome == "revoked":
        raise KeyRevoked
    if stored is None:
        raise TooManyCredentials(f"A caller may have {MAX_CREDENTIALS} credentials; delete one that is not used")
    return _shown(stored), outcome == "created"


async def every(*, caller: str, settings: CredentialsSettings) -> CredentialList:
    """List the caller's credentials, without their values."""
    found = await credentials.every(async_client(settings.redis_address), caller)
    return CredentialList(credentials=[_shown(one) for one in found])


async def read(name: str, *, caller: str, settings: CredentialsSettings) -> StoredCredential:
    """Return one of the caller's credentials, without its value; raises NotFound."""
    found = None
    if _is_name(name):
        found = await credentials.find(async_client(settings.redis_address), caller, name)
    if found is None:
        raise NotFound(_MISSING)
    return _shown(found)


async def remove(name: str, *, caller: str, settings: CredentialsSettings) -> None:
    """Delete one of the caller's credentials; raises NotFound."""
    if not _is_name(name) or not await credentials.remove(async_client(settings.redis_address), caller, name):
        raise NotFound(_MISSING)


async def record(
    action: str, name: str, *, caller: str, request_id: str, address: str, settings: CredentialsSettings
) -> None:
    """Record what a caller did with a credential, in the audit list and the log."""
    event(log, "caller_action", action=action, caller=caller, credential=name, request_id=request_id)
    act = Act(action, caller, "api", {"credential": name}, request_id, address)
    await auditing.keep("callers", act, redis_address=settings.redis_address, keep_for=settings.audit_ttl)


def _is_name(name: str) -> bool:
    return re.fullmatch(CREDENTIAL_NAME, name) is not None


def _shown(found: SealedCredential) -> StoredCredential:
    times = {"createdAt": rfc3339(found.created), "updatedAt": rfc3339(found.updated), "lastUsedAt": when(found.used)}
    return StoredCredential.model_validate(
        {"name": found.name, "kind": found.kind, "hosts": list(found.hosts), **times}
    )
