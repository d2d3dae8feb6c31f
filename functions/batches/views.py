"""Lines of a batch's results."""

import json

from shared.api.lines import as_one_line
from shared.api.views import listed
from shared.store.jobs.records import StoredJob


def result_line(index: int, job_id: str, name: str, job: StoredJob | None) -> str:
    """Write one job of a batch as a line of JSON."""
    line: dict[str, object] = {"index": index, "customId": name or None, "jobId": job_id}
    if job is None:  # an operator has deleted it
        line |= {"state": None, "result": None, "error": None}
    else:
        line |= {**listed(job).model_dump(mode="json", by_alias=True), "result": job.result}
    return as_one_line(json.dumps(line, ensure_ascii=False)) + "\n"
