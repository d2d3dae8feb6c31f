"""Schedules as the API takes them and shows them."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictStr

from shared import due_times
from shared.api.blank import NotBlank
from shared.api.requests import SubmitRequest
from shared.api.wire import Body, Wire

MAX_NAME = 100
Overlap = Literal["skip", "queue"]
CatchUp = Literal["none", "last"]


Name = Annotated[NotBlank, Field(min_length=1, max_length=MAX_NAME)]
Cron = Annotated[
    StrictStr,
    AfterValidator(due_times.check),
    Field(
        json_schema_extra={"maxLength": due_times.LONGEST},
        description="Five fields (minute, hour, day of the month, month, day of the week), or `@hourly`, `@daily`, "
        "`@weekly`, `@monthly` or `@yearly`.",
    ),
]
Zone = Annotated[
    StrictStr,
    AfterValidator(due_times.check_zone),
    Field(description="The time zone of the IANA database whose clocks `cron` refers to."),
]
Query = Annotated[SubmitRequest, Field(description="What each run submits; without `runAt`.")]
_OVERLAP: Any = Field(
    "skip",
    description="While the job of the run before has not ended, `skip` makes no job, `queue` one that starts later.",
)
_CATCH_UP: Any = Field(
    "none",
    description="Of due times that no worker carried out within a minute, `none` makes no job, and `last` one for "
    "the last of them.",
)


class ScheduleRequest(Body):
    """A schedule: a query, and when it runs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Nightly report",
                    "cron": "30 2 * * *",
                    "timezone": "Europe/Berlin",
                    "query": {"query": "Summarize the errors of yesterday."},
                }
            ]
        }
    )

    name: Name
    cron: Cron
    timezone: Zone = "UTC"
    query: Query
    overlap: Overlap = _OVERLAP
    catch_up: CatchUp = _CATCH_UP


# The default of a field that is absent; a null that is sent is no value of it.
_ABSENT: Any = None


class SchedulePatch(Body):
    """The fields of a schedule that change. `query` is replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cron": "0 6 * * 1-5"}]})

    name: Name = _ABSENT
    cron: Cron = _ABSENT
    timezone: Zone = _ABSENT
    query: Query = _ABSENT
    overlap: Overlap = _ABSENT
    catch_up: CatchUp = _ABSENT


class RunError(Wire):
    """Why a run made no job, or why its job failed."""

    code: str
    message: str | None = Field(description="The reason of a refusal; null for a failed job, whose status has it.")


class ScheduleRun(Wire):
    """A run of a schedule."""

    due_at: str | None = Field(description="The due time; null for a run by hand.")
    at: str = Field(description="When the run was carried out.")
    state: Literal[
        "waiting", "active", "delayed", "completed", "failed", "cancelled", "refused", "skipped", "missed"
    ] = Field(description="The state of its job, or why there is none.")
    job_id: str | None = Field(description="Its job; of a skipped run the job that had not ended.")
    error: RunError | None
    duration_ms: int | None = Field(description="From the start of the job to its end.")
    cost_usd: float | None


class Schedule(Wire):
    """A schedule."""

    schedule_id: str
    name: str
    cron: str
    timezone: str
    query: dict[str, Any]
    overlap: Overlap
    catch_up: CatchUp
    paused: Literal["requested", "failures"] | None = Field(
        description="Why it is paused: on request, or after ten failures in a row; null while it is not."
    )
    failures: int = Field(description="Runs in a row that failed or were refused.")
    next_runs: list[str] = Field(description="The next five due times; none while it is paused.")
    created_at: str
    updated_at: str


class ScheduleDetail(Schedule):
    """A schedule with its last runs."""

    runs: list[ScheduleRun] = Field(description="The last 100 runs, the newest first.")


class SchedulePage(Wire):
    """A page of schedules, newest first; `nextCursor` is null on the last."""

    schedules: list[Schedule]
    next_cursor: str | None
