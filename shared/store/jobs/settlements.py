"""Settlements: the writes that end a claim, as values that can be sent twice and kept on disk.

On disk a settlement is a JSON object of named fields with a version. The order of a model's fields is the order of its
script's arguments.
"""

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from redis.exceptions import (
    AskError,
    AuthenticationWrongNumberOfArgsError,
    ClusterError,
    DataError,
    ExecAbortError,
    ModuleError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

VERSION = 2

# Errors that describe the state of Redis. The same settlement may be accepted later.
_STATES = (
    AskError, AuthenticationWrongNumberOfArgsError, ClusterError, ExecAbortError, ModuleError, NoPermissionError,
    NoScriptError, OutOfMemoryError, ReadOnlyError, TryAgainError,
)  # fmt: skip
# The codes of such errors. Redis 6 and older wrap the code of an error within a script: "ERR Error running script …:
# @user_script: 12: -READONLY …".
_CODES = re.compile(
    r"(?:^|: -|^-)(?:BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOAUTH|NOPERM|NOREPLICAS|NOSCRIPT|OOM|READONLY"
    r"|TRYAGAIN|UNKILLABLE|WRONGPASS)\b|SCRIPT KILL"
)

Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Spend(_Model):
    """One entry of `spend`, as `spending.to_json` writes it."""

    model: str
    cost: Annotated[float, Field(ge=0)] = 0
    tokens: dict[Literal["input", "output", "cache_read", "cache_creation"], Count]


class _Settlement(_Model):
    """Ends a claim of one deployment; `deployment` is empty only for a settlement that is never written to disk."""

    script: str
    deployment: str
    job_id: Annotated[str, Field(min_length=1)]
    number: Count

    def arguments(self) -> tuple[str | int | float, ...]:
        """Return the arguments of the script: the fields in order, and the deployment last."""
        fields = self.model_dump(exclude={"script", "deployment"})
        return (*fields.values(), self.deployment)

    def to_json(self) -> str:
        """Write the settlement as it is kept on disk."""
        return json.dumps({"version": VERSION, **self.model_dump()})


class Finish(_Settlement):
    """Ends the job; see finish.lua."""

    script: Literal["finish"] = "finish"
    state: Literal["completed", "failed"]
    body: str
    keep_ms: Count
    spend: str
    upstream: Literal["answered", "refused", "limited", ""]
    code: str
    wait_ms: Count
    saves_usd: Annotated[float, Field(allow_inf_nan=True)]
    absent: str
    conversation: str
    keep_conversation_s: Count
    seen: str


class Retry(_Settlement):
    """Lets the job run again later; see retry.lua."""

    script: Literal["retry"] = "retry"
    delay_ms: Count
    upstream: Literal["answered", "refused", "limited", ""]
    code: str
    wait_ms: Count
    spend: str
    seen: str


class HandBack(_Settlement):
    """Returns the job to the queue; see hand_back.lua."""

    script: Literal["hand_back"] = "hand_back"
    spend: str


class Spent(_Settlement):
    """Counts the cost of a run whose claim is over; see spent.lua."""

    script: Literal["spent"] = "spent"
    caller: str
    spend: str


Settlement = Finish | Retry | HandBack | Spent

_SETTLEMENT: TypeAdapter[Settlement] = TypeAdapter(Annotated[Settlement, Field(discriminator="script")])
_SPENDS = TypeAdapter(list[_Spend])
_NAMES = TypeAdapter(list[str])
_OBJECT = TypeAdapter(dict[str, Any])


def parse(text: str) -> Settlement:
    """Read what `to_json` wrote; raise ValueError for anything else.

    The JSON inside the fields is checked as well: a script that meets other JSON fails after its first writes.
    """
    fields = _load(text)
    if not isinstance(fields, dict) or fields.pop("version", None) != VERSION:
        raise ValueError(f"not a settlement of version {VERSION}")
    settlement = _SETTLEMENT.validate_python(fields)
    if not settlement.deployment:
        raise ValueError("names no deployment")
    _check(_SPENDS.validate_python, settlement.spend)
    if isinstance(settlement, Finish | Retry):
        _check(_OBJECT.validate_python, settlement.seen)
    if isinstance(settlement, Finish):
        _OBJECT.validate_python(_load(settlement.body))
        _check(_NAMES.validate_python, settlement.absent)
    return settlement


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _check(validate: Callable[[Any], object], text: str) -> None:
    if text:
        validate(_load(text))


def is_refusal(error: RedisError) -> bool:
    """Return whether Redis refuses this settlement itself, and would refuse it again in any state."""
    if isinstance(error, DataError):
        return True
    return isinstance(error, ResponseError) and not isinstance(error, _STATES) and not _CODES.search(str(error))
