"""Settings of traces, by OpenTelemetry's own names."""

from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from shared.configuration.sources import TextSettings


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise ValueError("should be an http or https URL without a path of its own, such as http://collector:4318")
    if parts.username is not None:
        raise ValueError("should not hold a user or password; put them into OTEL_EXPORTER_OTLP_HEADERS")
    return url.rstrip("/").removesuffix("/v1/traces")


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, value = part.partition("=")
        name, value = unquote(name.strip()), unquote(value.strip())
        if not separator or not name.isascii() or not name.isprintable() or not name or not value.isprintable():
            raise ValueError("should be NAME=VALUE with commas between, such as a=1,b=2, and percent-encoded values")
        pairs[name] = value
    return pairs


def _attributes(value: object) -> object:
    return tuple(_pairs(value).items()) if isinstance(value, str) else value


def _headers(value: SecretStr) -> SecretStr:
    for name, text in _pairs(value.get_secret_value()).items():
        if not text.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError("should be names and values of HTTP headers, such as authorization=Bearer%20TOKEN")
    return value


class TraceFields(TextSettings):
    """Where spans are sent, and what they hold.

    `otel_traces_sampler_arg` is the part of the traces that begin here which is recorded; a client that sends a
    `traceparent` decides itself.
    """

    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    otel_exporter_otlp_headers: Annotated[SecretStr, AfterValidator(_headers)] | None = None
    otel_service_name: str | None = None
    otel_resource_attributes: Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(_attributes)] = ()
    otel_traces_sampler_arg: float = Field(1, ge=0, le=1, allow_inf_nan=False)
    otel_capture_content: bool = False

    @property
    def otlp_headers(self) -> dict[str, str]:
        """The HTTP headers of each export, which hold secrets."""
        headers = self.otel_exporter_otlp_headers
        return {} if headers is None else _pairs(headers.get_secret_value())
