"""Numbers and lists of the documents are those of the code."""

import re
from pathlib import Path
from typing import get_args

import pytest

from functions.worker.webhooks import attempt, dispatcher
from shared.api import batch_requests
from shared.api.vocabulary import ErrorCode
from shared.json_schema import schema
from shared.store.callers import dashboard_sessions
from shared.store.jobs import claims
from shared.store.webhooks import outbox

ROOT = Path(__file__).parents[2]


def text_of(name):
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


CLAIMS = [
    ("docs/operations.md", r"the lease \((\d+) s\)", claims.LEASE / 1000),
    ("docs/webhooks.md", r"A 2xx within (\d+) s is success", attempt.ATTEMPT_TIMEOUT),
    ("docs/webhooks.md", r"Each attempt is leased for (\d+) s", outbox.LEASE / 1000),
    ("docs/webhooks.md", r"one dispatcher: (\d+) attempts at once", dispatcher.AT_ONCE),
    ("docs/webhooks.md", r"attempts at once, of one caller (\d+) to one host", dispatcher.PER_HOST),
    ("docs/batches.md", r"Up to ([\d,]+) queries accepted together", batch_requests.MOST_QUERIES),
    ("docs/events.md", r"more than ([\d,]+) bytes as JSON", schema.MAX_BYTES),
    ("docs/observability.md", r"\*\*Sessions\*\* end after (\d+) h", dashboard_sessions.IDLE / 3_600_000),
]


@pytest.mark.parametrize(("document", "sentence", "figure"), CLAIMS, ids=[claim[1][:40] for claim in CLAIMS])
def test_a_number_in_the_documents_is_that_of_the_code(document, sentence, figure):
    """Catches a limit that was changed in the code but not in the documents."""
    [written] = re.findall(sentence, text_of(document))
    assert int(written.replace(",", "")) == figure


def test_every_error_code_is_explained():
    table = (ROOT / "docs/worker.md").read_text(encoding="utf-8").split("## Error codes")[1].split("## ")[0]
    explained = {
        code
        for line in table.splitlines()
        if line.startswith("| `")
        for code in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert explained - {"error"} == set(get_args(ErrorCode))


def test_the_numbers_of_the_readme_are_those_of_the_last_benchmark():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("## Performance")[1].split("## More")[0]
    measured = {
        line.split("|")[1].strip(): line.split("|")[3].strip()
        for line in (ROOT / "docs/performance.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and line.count("|") == 7
    }
    pairs = {
        "jobs per second, all slots busy": "jobs per second, all slots busy",
        "CPU of an idle worker with five slots": "CPU of an idle worker, 5 slots",
        "cached answers per second, one API process": "cached answers per second",
        "status reads per second, 50,000 jobs waiting": "status reads per second, 50,000 waiting",
    }
    shown = {
        line.split("|")[1].strip(): line.split("|")[3].strip() for line in readme.splitlines() if line.count("|") == 4
    }
    assert {name: shown[name] for name in pairs} == {name: measured[row] for name, row in pairs.items()}
