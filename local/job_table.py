"""Prints jobs as a table."""

from rich.console import Console
from rich.table import Table

from local.client import Body
from local.output import visible


def print_jobs(jobs: list[Body]) -> None:
    """Print one row for each job."""
    table = Table("id", "state", "progress", "priority", "attempts", "created", "finished", "error", box=None)
    for job in jobs:
        error = job["error"]
        fields = (
            job["jobId"], job["state"], f"{job['progress']} %", job["priority"], job["attempts"], job["createdAt"],
            job["finishedAt"], error["code"] if error else None,
        )  # fmt: skip
        table.add_row(*("" if field is None else visible(str(field)) for field in fields))
    Console(width=180, markup=False, emoji=False, highlight=False).print(table)
