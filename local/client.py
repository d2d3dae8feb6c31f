"""A client of a running gateway, and the messages for its errors."""

import ipaddress
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Self

import httpx

from local.output import UNUSABLE

Body = dict[str, Any]

# Seconds without a byte of a file.
_TRANSFER = 60.0

_TRANSIENT = {429, 502, 503, 504}  # of the gateway, and of a proxy in front of it


class CommandError(Exception):
    """Ends a command with a message and an exit status; `transient` if a retry may help, `code` is the API's."""

    def __init__(
        self,
        message: str,
        status: int = UNUSABLE,
        *,
        code: str | None = None,
        transient: bool = False,
        retry_after: float = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.transient = transient
        self.retry_after = retry_after


class Client:
    """A client of a gateway, as a context manager. Raises CommandError for an invalid URL or key."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        transport: httpx.BaseTransport | None = None,
        *,
        basic: tuple[str, str] | None = None,
    ) -> None:
        self._url = url
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise CommandError("--api-key contains characters that are not allowed in a header")
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in {"http", "https"} or not address.host or address.userinfo:
            raise CommandError("--url should look like http://127.0.0.1:3000; pass a key with --api-key")
        local = _is_loopback(address.host)
        try:
            self._http = httpx.Client(
                base_url=address,
                auth=basic,
                headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
                transport=transport,
                # A proxy for the outer world cannot reach this machine's loopback.
                trust_env=not local,
                # Reading all certificates takes longer than many an answer.
                verify=address.scheme == "https" or not local,
            )
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
            raise CommandError(f"the environment's proxy or certificates cannot be used: {error}") from None

    def __enter__(self) -> Self:
        self._http.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.__exit__(None, None, None)

    def send(self, method: str, path: str, body: Body | None = None, *, timeout: float = 10) -> tuple[Body, float]:
        """Return the response's JSON object, empty for 204, and Retry-After. Raises CommandError unless it is 2xx."""
        try:
            request = self._http.build_request(method, path, json=body, timeout=timeout)
        except ValueError as error:  # half a surrogate pair, or NaN in a schema
            raise CommandError(f"the request cannot be written as JSON: {error}") from None
        with self._connection_errors(timeout):
            answer = self._http.send(request)
        content = _content_of(answer)
        if answer.status_code == 204:
            return {}, 0.0
        if answer.is_success and isinstance(content, dict):
            return content, _retry_after(answer)
        raise self._error_from(answer, content)

    def upload(self, file: IO[bytes], name: str) -> Body:
        """Send a file as it is read, and return its description. Raises CommandError unless it is stored."""
        size = os.fstat(file.fileno()).st_size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        # A pipe or a device has no size.
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            del headers["Content-Length"]
        pieces = iter(lambda: file.read(1 << 18), b"")
        with self._connection_errors(_TRANSFER):
            answer = self._http.post(
                "/api/files", params={"name": name}, content=pieces, headers=headers, timeout=_TRANSFER
            )
        content = _content_of(answer)
        if answer.status_code == 201 and isinstance(content, dict):
            return content
        raise self._error_from(answer, content)

    def download(self, path: str) -> Iterator[bytes]:
        """Yield the content at a path, also when it is at the object store. Raises CommandError unless it is whole."""
        with (
            self._connection_errors(_TRANSFER),
            self._http.stream("GET", path, follow_redirects=True, timeout=_TRANSFER) as answer,
        ):
            self._check_stream(answer)
            yield from answer.iter_raw()

    def health(self, *, timeout: float = 10) -> Body:
        """Return the gateway's health, with the reason why no job starts; empty if it does not respond."""
        try:
            return self.send("GET", "/health", timeout=timeout)[0]
        except CommandError:
            return {}

    def events(self, path: str, last: str | None, silence: float = 30) -> Iterator[tuple[str | None, str, Body]]:
        """Yield id, kind and data of a stream's events after the last one seen; a comment has no id.

        Ends with the response. Raises CommandError if the response is not an event stream, and after `silence` seconds
        without a byte.
        """
        headers = {} if last is None else {"Last-Event-ID": last}
        # The gateway sends a comment every ten seconds.
        timeout = httpx.Timeout(10, read=silence)
        with (
            self._connection_errors(silence),
            self._http.stream("GET", path, headers=headers, timeout=timeout) as answer,
        ):
            self._check_stream(answer)
            try:
                yield from _events(_lines(answer.iter_bytes()))
            except json.JSONDecodeError:
                raise CommandError(self.not_a_gateway("events that are not JSON")) from None

    @contextmanager
    def _connection_errors(self, timeout: float) -> Iterator[None]:
        """Convert connection errors into CommandError."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            # `make run` does not use TLS, so with https the certificate is the more likely cause.
            hint = str(error) if self._url.startswith("https:") else "start one with `make run`"
            raise CommandError(f"no gateway responds at {self._url}: {hint}", transient=True) from None
        except httpx.TimeoutException:
            raise CommandError(
                f"the gateway at {self._url} did not respond within {timeout:g} s", transient=True
            ) from None
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise CommandError(f"the connection to {self._url} failed: {reason}", transient=True) from None

    def _check_stream(self, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            answer.read()
            raise self._error_from(answer, _content_of(answer))

    def _error_from(self, answer: httpx.Response, content: Any) -> CommandError:
        is_problem = isinstance(content, dict) and "title" in content
        message = _problem(content) if is_problem else self.not_a_gateway(f"{answer.status_code} without a reason")
        code = content.get("code") if is_problem else None
        is_transient = answer.status_code in _TRANSIENT
        return CommandError(message, code=code, transient=is_transient, retry_after=_retry_after(answer))

    def not_a_gateway(self, what: str) -> str:
        """Return an error message for a response that is not a gateway's."""
        return f"{self._url} returned {what}, which a gateway does not return: check the URL"


def _content_of(answer: httpx.Response) -> Any:
    """Return the JSON of an answer; None when it is none."""
    try:
        return answer.json()
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    """Return whether a URL's host is this machine, which a proxy from the environment cannot reach."""
    name = host.removesuffix(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _retry_after(answer: httpx.Response) -> float:
    given = answer.headers.get("Retry-After", "")
    return (
        float(given) if re.fullmatch(r"[0-9]{1,6}", given) else 0.0
    )  # a date is ignored; the default interval applies


def _lines(parts: Iterator[bytes]) -> Iterator[str]:
    """Yield lines without line ends; httpx also splits at characters that JSON may contain, such as U+2028."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")


def _events(lines: Iterator[str]) -> Iterator[tuple[str | None, str, Body]]:
    """Yield id, kind and data of server-sent events. A comment, which keeps the stream alive, has no id."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield None, "", {}
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "id" in fields:
            data = json.loads(fields.get("data", "{}"))
            yield fields["id"], fields.get("event", ""), data if isinstance(data, dict) else {}
            fields = {}
        else:
            fields = {}


def _problem(problem: Body) -> str:
    """Format problem+json as lines: title and detail, then a line for each field that the detail does not cover."""
    detail = str(problem.get("detail") or "")
    lines = [": ".join(part for part in (str(problem["title"]), detail) if part)]
    fields = problem.get("errors")
    lines += [
        f"  {field.get('pointer') or 'body'}: {field.get('message')}"
        for field in (fields if isinstance(fields, list) else [])
        if isinstance(field, dict) and str(field.get("message")) not in detail
    ]
    return "\n".join(lines)
