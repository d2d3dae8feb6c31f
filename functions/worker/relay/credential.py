"""The deployment's credential: taken out of the environment, and added to each request by the relay alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urlsplit

DEFAULT_URL = "https://api.anthropic.com"
PLACEHOLDER = "placeholder"
# Claude takes an OAuth token on the Messages API with this beta alone.
OAUTH_BETA = "oauth-2025-04-20"
# In the order in which the CLI looks for them.
_KINDS = {
    "ANTHROPIC_AUTH_TOKEN": "auth_token",
    "ANTHROPIC_API_KEY": "api_key",
    "CLAUDE_CODE_OAUTH_TOKEN": "oauth_token",
}


# A shorter value of a custom header is a word or a number, and no secret.
_SHORTEST_SECRET = 8
# Headers that could carry another credential than a caller's own.
_OF_CREDENTIALS = {"authorization", "x-api-key"}


class UnusableUrlError(ValueError):
    """ANTHROPIC_BASE_URL is not a URL that the relay can use."""


@dataclass(frozen=True, slots=True)
class Credential:
    """The URL of Claude and the secret that the relay sends there; `repr` shows no secret.

    `variable` is the one that the CLI gets with a placeholder in it, so that it behaves as with the real one.
    """

    url: SplitResult
    variable: str
    secret: str = field(repr=False, default="")
    extra: tuple[tuple[str, str], ...] = field(repr=False, default=())

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Credential":
        """Read it from the environment; raise UnusableUrlError."""
        variable = next((name for name in _KINDS if environ.get(name)), "ANTHROPIC_API_KEY")
        lines = environ.get("ANTHROPIC_CUSTOM_HEADERS", "").splitlines()
        pairs = [line.split(":", 1) for line in lines if ":" in line]
        extra = tuple((name.strip(), value.strip()) for name, value in pairs)
        return cls(
            _url(environ.get("ANTHROPIC_BASE_URL") or DEFAULT_URL), variable, environ.get(variable, "").strip(), extra
        )

    def headers(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return a request's headers with the credential in them, in the place of what the run sent."""
        both = {**given, **{name.lower(): value for name, value in self.extra}}
        if not self.secret:
            return both
        betas = [name.strip() for name in both.get("anthropic-beta", "").split(",") if name.strip()]
        if _KINDS[self.variable] == "api_key":
            if OAUTH_BETA in betas:
                both["anthropic-beta"] = ",".join(name for name in betas if name != OAUTH_BETA)
            return {**both, "x-api-key": self.secret}
        if _KINDS[self.variable] == "oauth_token":
            both["anthropic-beta"] = ",".join(betas if OAUTH_BETA in betas else [*betas, OAUTH_BETA])
        return {**both, "authorization": f"Bearer {self.secret}"}

    def with_key(self, api_key: str) -> "Credential":
        """Return the credential of a run on its caller's API key, which is sent to the same place."""
        extra = tuple(pair for pair in self.extra if pair[0].lower() not in _OF_CREDENTIALS)
        return replace(self, variable="ANTHROPIC_API_KEY", secret=api_key, extra=extra)

    def hide_in(self, text: str | None) -> str | None:
        """Return a text of the upstream's without the secret and custom headers, should it repeat them."""
        if text is None:
            return None
        for secret in (self.secret, *(value for _, value in self.extra if len(value) >= _SHORTEST_SECRET)):
            text = text.replace(secret, "[credential]") if secret else text
        return text

    def placeholders(self) -> dict[str, str]:
        """Return the variables of a run in the place of the credential."""
        return {self.variable: PLACEHOLDER}


def _url(text: str) -> SplitResult:
    try:
        url = urlsplit(text.strip())
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or url.username is not None or url.query or url.fragment:
        raise UnusableUrlError("ANTHROPIC_BASE_URL: should be an http or https URL without a user, query or fragment")
    return url
