"""HTTP heads as the relay reads and writes them: bounded in size, lower-case names, hop-by-hop headers left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# Bytes of a head, from a run or from Claude.
MAX_HEAD = 65_536
END = b"\r\n\r\n"
# Of a run's request these reach Claude: prefixes. Everything else stays here, credentials above all.
_PASSED = (
    "anthropic-", "x-anthropic-", "x-stainless-", "x-claude-", "x-app", "x-client-request-id", "user-agent", "accept",
    "content-type", "traceparent", "tracestate",
)  # fmt: skip
_NOT_PASSED = {"accept-encoding"}
# Of Claude's answer these do not reach a run.
_HOP = {"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "set-cookie", "te", "trailer", "upgrade"}
_FRAMING = ("transfer-encoding", "content-length")


@dataclass(slots=True)
class Head:
    """A parsed head: `target` of a request or `status` of an answer, and the headers by lower-case name."""

    status: int = 0
    target: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    # A framing header occurs twice: a peer that reads the other one sees a different message.
    is_ambiguous: bool = False

    def add(self, name: bytes, value: bytes) -> None:
        """Add a header; several of one name are joined, as HTTP reads them."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        if key in self.headers:
            self.is_ambiguous = self.is_ambiguous or key in _FRAMING
            text = f"{self.headers[key]}, {text}"
        self.headers[key] = text
        self.is_ambiguous = self.is_ambiguous or all(one in self.headers for one in _FRAMING)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request of a run's tools; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]


def passed(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a run's request that may reach Claude."""
    return {name: value for name, value in headers.items() if name.startswith(_PASSED) and name not in _NOT_PASSED}


def request_head(target: str, host: str, headers: Mapping[str, str], length: int) -> bytes:
    """Write the head of a request to Claude."""
    # The meter reads what passes.
    own = {"host": host, "accept-encoding": "identity", "content-length": str(length), "connection": "keep-alive"}
    return _written(f"POST {target} HTTP/1.1", {**headers, **own}.items())


def answer_head(status: int, headers: Mapping[str, str], *, close: bool) -> bytes:
    """Write the head of an answer to a run."""
    kept = [(name, value) for name, value in headers.items() if name not in _HOP]
    return _written(f"HTTP/1.1 {status} Relayed", [*kept, *([("connection", "close")] if close else [])])


def _written(first: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1", "replace") + END
