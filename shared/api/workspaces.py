"""The workspace of a query: the repository that its run works in."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr

from shared.api.ids import CredentialName
from shared.api.wire import Body
from shared.egress.repositories import repository_of
from shared.egress.targets import MAX_URL, EgressRefused

MAX_REF = 255
"""Bytes of UTF-8 of a ref or a branch."""

MAX_DEPTH = 1_000_000
# As `git check-ref-format` says, and no name that a command could take for an option.
_WRONG_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[-+./]|[./]$|^@$")
_REF = r"^[^\x00-\x20\x7f~^:?*\[\\]+$"


def _url(url: str) -> str:
    try:
        return repository_of(url).url
    except EgressRefused as refusal:
        raise ValueError(str(refusal)) from None


def _ref(ref: str) -> str:
    if not ref or len(ref.encode("utf-8", "replace")) > MAX_REF or _WRONG_REF.search(ref) or not ref.isprintable():
        raise ValueError(f"should be a branch, a tag or a full commit id of at most {MAX_REF} bytes of UTF-8")
    return ref


def _branch(branch: str) -> str:
    if branch.startswith("refs/") or branch == "HEAD" or _ref(branch) != branch:
        raise ValueError("should be the name of a branch, without refs/heads/")
    return branch


def _integral(value: object) -> object:
    """Accept 5.0 as 5, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_TEXT: dict[str, Any] = {"minLength": 1, "maxLength": MAX_REF, "pattern": _REF}


class GitPush(Body):
    """The branch to which the work of a run is pushed."""

    branch: Annotated[StrictStr, AfterValidator(_branch)] = Field(
        description="One branch, never forced: a push that is no fast-forward fails the job.", json_schema_extra=_TEXT
    )


class GitWorkspace(Body):
    """A repository that is cloned into the working directory of the run."""

    url: Annotated[StrictStr, AfterValidator(_url)] = Field(
        description="An https URL without user name, query and fragment.",
        json_schema_extra={"format": "uri", "minLength": 1, "maxLength": MAX_URL},
    )
    ref: Annotated[StrictStr, AfterValidator(_ref)] | None = Field(
        None,
        description="A branch, a tag or a full commit id; by default the server's default branch.",
        json_schema_extra=_TEXT,
    )
    depth: Annotated[StrictInt, Field(ge=1, le=MAX_DEPTH), BeforeValidator(_integral)] = Field(
        1, description="Commits of the history that are cloned."
    )
    credential: CredentialName | None = Field(
        None, description="The caller's credential of the kind `git`: a token, or `user:password`. No run sees it."
    )
    push: GitPush | None = Field(None, description="Where the work of a successful run is pushed to.")


class Workspace(Body):
    """What the working directory of a run begins with, beside `files`."""

    git: GitWorkspace
