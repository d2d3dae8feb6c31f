"""The address of the object store: a directory or an S3 bucket."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from shared.configuration import env_file
from shared.configuration.sources import TextSettings

# What the object store reads for S3. The names are those of AWS's own tools.
AWS_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
)
_FORMS = "should be file:DIRECTORY or s3://BUCKET/PREFIX, such as file:.data/files or s3://my-bucket/files"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(/[A-Za-z0-9!_.*'()-]+)*/?")


def check_files_url(url: str) -> str:
    """Return the URL; raise ValueError for one of another form."""
    if url.startswith("file:"):
        if not directory_of(url) or "\0" in url:
            raise ValueError(_FORMS)
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(_FORMS) from None
    is_s3 = parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc) and _PREFIX.fullmatch(parts.path)
    if not is_s3 or parts.query or parts.fragment or {".", ".."} & set(parts.path.split("/")):
        raise ValueError(_FORMS)
    return url


def directory_of(url: str) -> str:
    """Return the directory of a `file:` URL; relative to the current directory unless it starts with a slash."""
    path = url.removeprefix("file:")
    if not path.startswith("//"):
        return path
    # file:///PATH is absolute. A host cannot be reached.
    return path[2:] if path.startswith("///") else ""


FilesUrl = Annotated[str, AfterValidator(check_files_url)]
"""A URL of the object store."""


class FilesFields(TextSettings):
    """The settings of a process that stores files; sizes in bytes, `files_ttl` in s."""

    files_url: FilesUrl = "file:.data/files"
    max_file_bytes: int = Field(33_554_432, ge=1, le=1 << 40)
    files_ttl: int = Field(604_800, ge=1, le=315_360_000)
    max_caller_file_bytes: int = Field(1_073_741_824, ge=1, le=1 << 50)
    # Read here and not by the object store's library: a worker takes them from its environment before a run starts.
    _aws: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def aws(self) -> dict[str, str]:
        """The AWS variables for an `s3:` FILES_URL, which hold secrets."""
        return self._aws

    @model_validator(mode="after")
    def _read_aws(self) -> Self:
        if self.files_url.startswith("s3:"):
            given = env_file.given()
            self._aws = {name: given[name] for name in AWS_VARIABLES if name in given}
        return self
