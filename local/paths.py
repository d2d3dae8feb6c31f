"""Paths of the gateway's API."""

from urllib.parse import quote


def job_path(job_id: str, collection: str = "/api/query") -> str:
    """Return the path of a job; an id of a command line cannot lead to another path."""
    # A client drops the segments `.` and `..`, and no id has a dot.
    return f"{collection}/{quote(job_id, safe='', errors='replace').replace('.', '%2E')}"
