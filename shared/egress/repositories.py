"""URLs of git repositories: https, a host, and a path that has one spelling."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from shared.egress.targets import EgressRefused, Target, parse

_PORT = 443


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository: its server, and its path as a request names it."""

    target: Target
    path: str

    @property
    def place(self) -> str:
        """The URL without its scheme."""
        host = f"[{self.target.host}]" if ":" in self.target.host else self.target.host
        return host + self.path if self.target.port == _PORT else f"{self.target}{self.path}"

    @property
    def url(self) -> str:
        """The URL in its canonical form."""
        return f"https://{self.place}"


def repository_of(url: str) -> Repository:
    """Return the repository of a URL; raise EgressRefused for a URL that is not allowed."""
    if not url.lower().startswith("https://"):
        raise EgressRefused("should be an https:// URL")
    target, parts = parse(url), urlsplit(url)
    if "?" in url or "#" in url:
        raise EgressRefused("should have no query and no fragment")
    segments = parts.path.removeprefix("/").removesuffix("/").split("/")
    # A server decodes them before it looks for the repository.
    decoded = [unquote(segment) for segment in segments]
    wrong = any(name in {"", ".", ".."} or "/" in name or "\\" in name or not name.isprintable() for name in decoded)
    if wrong:
        raise EgressRefused("should have the path of a repository, without empty segments, . and ..")
    return Repository(target, "/" + "/".join(segments))
