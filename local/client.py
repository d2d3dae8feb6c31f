"""How the commands talk to a running gateway, and what they tell people of its errors."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx

Body = dict[str, Any]

OK, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

_PASSING = {429, 502, 503, 504}  # the gateway's own, and those of a proxy before it
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # C0 but for \t and \n, DEL, C1, lone surrogates


class Stop(Exception):
    """A command ends here, with a message for people; `passing` when asking again may help."""

    def __init__(self, message: str, status: int = UNUSABLE, *, passing: bool = False, retry_after: float = 0) -> None:
        super().__init__(message)
        self.status = status
        self.passing = passing
        self.retry_after = retry_after


class Client:
    """A connection to a gateway, from `with` to the end of it; raises Stop for a URL or key that cannot be used."""

    def __init__(self, url: str, api_key: str | None, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise Stop("--api-key holds characters that no header can carry")
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in {"http", "https"} or not address.host or address.userinfo:
            raise Stop("--url should look like http://127.0.0.1:3000, and a key goes into --api-key")
        self._http = httpx.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            transport=transport,
            # A proxy for the outer world cannot reach this machine's loopback.
            trust_env=not is_loopback(address.host),
            # Reading all certificates takes longer than many an answer.
            verify=address.scheme == "https" or not is_loopback(address.host),
        )

    def __enter__(self) -> Self:
        self._http.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.__exit__(None, None, None)

    def send(self, method: str, path: str, body: Body | None = None, *, timeout: float = 10) -> tuple[Body, float]:
        """Return the answer's JSON object and its Retry-After; raise Stop for everything but a 2xx."""
        with self._troubles(timeout):
            answer = self._http.request(method, path, json=body, timeout=timeout)
        try:
            content = answer.json()
        except ValueError:
            content = None
        if answer.is_success and isinstance(content, dict):
            return content, _retry_after(answer)
        raise self._refused(answer, content)

    def events(self, path: str, last: str | None) -> Iterator[tuple[str | None, str, Body]]:
        """Yield id, kind and data of a stream's events after the last one seen; for a comment, no id.

        Ends where the answer does; raises Stop for everything but a stream.
        """
        headers = {} if last is None else {"Last-Event-ID": last}
        # The gateway says something every ten seconds.
        timeout = httpx.Timeout(10, read=30)
        with self._troubles(30), self._http.stream("GET", path, headers=headers, timeout=timeout) as answer:
            if answer.status_code != 200:
                answer.read()
                try:
                    content = answer.json()
                except ValueError:
                    content = None
                raise self._refused(answer, content)
            yield from _events(_lines(answer.iter_bytes()))

    @contextmanager
    def _troubles(self, timeout: float) -> Iterator[None]:
        """Turn what is wrong with a connection into Stop."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            # `make run` never speaks TLS: there a certificate is the likelier reason.
            hint = str(error) if self._url.startswith("https:") else "start one with `make run`"
            raise Stop(f"no gateway answers at {self._url}: {hint}", passing=True) from None
        except httpx.TimeoutException:
            raise Stop(f"the gateway at {self._url} did not answer in {timeout:g} s", passing=True) from None
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise Stop(f"the connection to {self._url} broke: {reason}", passing=True) from None

    def _refused(self, answer: httpx.Response, content: Any) -> Stop:
        told = isinstance(content, dict) and "title" in content
        message = _problem(content) if told else self.stranger(f"{answer.status_code} without a reason")
        return Stop(message, passing=answer.status_code in _PASSING, retry_after=_retry_after(answer))

    def stranger(self, what: str) -> str:
        """Say that this is not how a gateway answers."""
        return f"{self._url} answered {what}, which is not how a gateway answers: is the URL right?"


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine; here, since reading the settings takes longer than many an answer."""
    return host in {"localhost", "::1"} or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host) is not None


def _retry_after(answer: httpx.Response) -> float:
    given = answer.headers.get("Retry-After", "")
    return float(given) if re.fullmatch(r"[0-9]{1,6}", given) else 0.0  # a date: our own pace will do


def _lines(parts: Iterator[bytes]) -> Iterator[str]:
    """Yield lines without their end; httpx would end them at separators that may stand in JSON, such as U+2028."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")


def _events(lines: Iterator[str]) -> Iterator[tuple[str | None, str, Body]]:
    """Yield id, kind and data of server-sent events; of a comment, which says that the stream lives, no id."""
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
    """Write problem+json as lines: title and detail, then a line for each field."""
    lines = [": ".join(str(problem[key]) for key in ("title", "detail") if problem.get(key))]
    fields = problem.get("errors")
    lines += [
        f"  {field.get('pointer') or 'body'}: {field.get('message')}"
        for field in (fields if isinstance(fields, list) else [])
        if isinstance(field, dict)
    ]
    return "\n".join(lines)


def visible(text: str) -> str:
    """Write control characters out: on a terminal they could move the cursor, or answer for the user."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def complain(message: str) -> None:
    """Tell people what went wrong; what a gateway says of an error can repeat what a client sent."""
    print(visible(message), file=sys.stderr)
