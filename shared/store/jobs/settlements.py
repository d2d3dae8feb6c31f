"""Settlements: the writes that end a claim, as values that can be sent twice and kept on disk.

On disk a settlement is a JSON object of named fields with a version. The scripts read the same fields by name.
"""

import hmac
import json
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.store.jobs.outputs import Outputs

VERSION = 5
# Earlier versions that are read: 3 has no `outputs`, and neither has a `pause`. They are otherwise the same.
_EARLIER = frozenset({3, 4})

Count = Annotated[int, Field(ge=0)]


class NewerVersionError(ValueError):
    """A later version of the gateway wrote the settlement."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Spend(_Model):
    """One entry of `spend`, as `spending.to_json` writes it."""

    model: str
    cost: Annotated[float, Field(ge=0)] = 0
    tokens: dict[Literal["input", "output", "cache_read", "cache_creation"], Count]


class _Settlement(_Model):
    """Ends a claim of one deployment; `deployment` is empty only for a settlement that is never written to disk.

    On disk it has a `signature` by the deployment's secret, `key`, which no file holds.
    """

    # Long texts, which the script gets beside the other fields.
    _texts: ClassVar[tuple[str, ...]] = ()

    script: str
    deployment: str
    signature: str = ""
    key: str = Field("", exclude=True, repr=False)
    job_id: Annotated[str, Field(min_length=1)]
    number: Count

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the script: the fields, and the long texts."""
        fields = self.model_dump(exclude={"script", "signature", *self._texts})
        return {"settlement": fields, **{name: getattr(self, name) for name in self._texts}}

    def to_json(self) -> str:
        """Write the settlement as it is kept on disk, signed if it knows the deployment's secret."""
        signature = self._signature(self.key) if self.key else ""
        return json.dumps({"version": VERSION, **self.model_dump(), "signature": signature})

    def is_signed_with(self, key: str) -> bool:
        """Return whether a worker that knows the deployment's secret has written the settlement to disk."""
        return bool(key) and hmac.compare_digest(self.signature.encode(), self._signature(key).encode())

    def _signature(self, key: str) -> str:
        fields = self.model_dump(exclude={"signature"})
        if not fields.get("outputs"):  # an earlier version has signed the settlement without it
            fields.pop("outputs", None)
        return hmac.new(key.encode(), json.dumps(fields, sort_keys=True).encode(), "sha256").hexdigest()


class Finish(_Settlement):
    """Ends the job; see finish.lua."""

    _texts = ("body",)

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
    session_id: str
    keep_session_s: Count
    seen: str
    outputs: str = ""


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
    outputs: str = ""


class Pause(_Settlement):
    """Pauses the job for a decision; see pause.lua."""

    _texts = ("shown", "resume")

    script: Literal["pause"] = "pause"
    ask: Annotated[str, Field(min_length=1)]
    timeout_ms: Count
    late: Literal["deny", "fail"]
    token: str
    spend: str
    session_id: Annotated[str, Field(min_length=1)]
    outputs: str = ""
    keep_s: Count
    shown: str
    resume: str


Settlement = Finish | Retry | HandBack | Spent | Pause

_SETTLEMENT: TypeAdapter[Settlement] = TypeAdapter(Annotated[Settlement, Field(discriminator="script")])
_SPENDS = TypeAdapter(list[_Spend])
_NAMES = TypeAdapter(list[str])
_OBJECT = TypeAdapter(dict[str, Any])


def parse(text: str) -> Settlement:
    """Read what `to_json` wrote, in this version; raise ValueError for anything else. Does not check the signature.

    The JSON inside the fields is checked as well: a script that meets other JSON fails after its first writes.
    """
    fields = _load(text)
    settlement = _SETTLEMENT.validate_python(_current(fields) if isinstance(fields, dict) else fields)
    if not settlement.deployment:
        raise ValueError("names no deployment")
    _check(_SPENDS.validate_python, settlement.spend)
    if isinstance(settlement, Finish | Retry):
        _check(_OBJECT.validate_python, settlement.seen)
    if isinstance(settlement, Pause):
        _OBJECT.validate_python(_load(settlement.shown))
        _OBJECT.validate_python(_load(settlement.resume))
    if isinstance(settlement, Finish | Spent | Pause):
        _check(Outputs.model_validate, settlement.outputs)
    if isinstance(settlement, Finish):
        _OBJECT.validate_python(_load(settlement.body))
        _check(_NAMES.validate_python, settlement.absent)
    return settlement


def _current(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a file of this version."""
    if "key" in fields:
        raise ValueError("a file names no secret")
    version = fields.pop("version", None)
    if type(version) is int and version > VERSION:
        raise NewerVersionError(f"a settlement of version {version}")
    if version != VERSION and version not in _EARLIER:
        raise ValueError(f"not a settlement of version {VERSION}")
    return fields


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _check(validate: Callable[[Any], object], text: str) -> None:
    if text:
        validate(_load(text))
