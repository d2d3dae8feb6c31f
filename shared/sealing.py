"""Sealing of callers' credentials: the public key seals, and a private key alone opens (NaCl sealed boxes).

What is sealed names its caller, its name, its kind and its hosts. A sealed value that somebody copies to another
caller, or whose hosts are changed in the store, does not open.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

# A short name of a key, for logs and for the credentials that are still sealed with an old one.
_KEY_ID = 16


class NotOpenedError(Exception):
    """A sealed credential cannot be opened; the text says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A caller's credential in the clear; `repr` does not show the value. No host stands for no restriction."""

    caller: str
    name: str
    kind: str
    hosts: tuple[str, ...]
    value: str = field(repr=False)

    def may_go_to(self, host: str) -> bool:
        """Return whether the value may be sent to a host."""
        name = host.lower().rstrip(".")
        return not self.hosts or any(
            name.endswith(allowed[1:]) if allowed.startswith("*.") else name == allowed for allowed in self.hosts
        )


def new_pair() -> tuple[str, str]:
    """Return a new public key and its private key, as the settings take them."""
    private = PrivateKey.generate()
    return _text(bytes(private.public_key)), _text(bytes(private))


def public_of(private: str) -> str:
    """Return the public key of a private key."""
    return _text(bytes(PrivateKey(base64.b64decode(private)).public_key))


def key_id(public: str) -> str:
    """Return the name of a public key."""
    return hashlib.sha256(base64.b64decode(public)).hexdigest()[:_KEY_ID]


def seal(credential: Credential, public: str) -> str:
    """Return a credential as only the holders of the private key can read it."""
    facts = [credential.caller, credential.name, credential.kind, list(credential.hosts), credential.value]
    return _text(SealedBox(PublicKey(base64.b64decode(public))).encrypt(json.dumps(facts).encode()))


def open_sealed(sealed: str, privates: Sequence[str], expected: Credential) -> Credential:
    """Return a credential with its value, opened by the first private key that fits; raise NotOpenedError.

    `expected` is the credential as the store describes it, without a value.
    """
    if not privates:
        raise NotOpenedError("CREDENTIALS_PRIVATE_KEY is not set")
    facts = _opened(sealed, privates)
    if facts is None:
        raise NotOpenedError("no key of CREDENTIALS_PRIVATE_KEY opens it")
    described = [expected.caller, expected.name, expected.kind, list(expected.hosts)]
    if not isinstance(facts, list) or facts[:-1] != described:
        raise NotOpenedError("it was sealed as another credential")
    return Credential(expected.caller, expected.name, expected.kind, expected.hosts, facts[-1])


def _opened(sealed: str, privates: Sequence[str]) -> object:
    for private in privates:
        try:
            return json.loads(SealedBox(PrivateKey(base64.b64decode(private))).decrypt(base64.b64decode(sealed)))
        except (CryptoError, ValueError):
            continue
    return None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
