"""Paths of the gateway's API."""

from urllib.parse import quote


def job_path(job_id: str, collection: str = "/api/query") -> str:
    """Return the path of a job, with the id quoted so that it cannot address another path."""
    # Clients resolve the segments `.` and `..`; valid ids have no dot.
    return f"{collection}/{quote(job_id, safe='', errors='replace').replace('.', '%2E')}"


def file_path(file_id: str) -> str:
    """Return the path of a caller's file, quoted as that of a job."""
    return job_path(file_id, "/api/files")


def credential_path(name: str) -> str:
    """Return the path of a caller's credential, with the name quoted so that it cannot address another path."""
    segment = quote(name, safe="", errors="replace")
    # Clients resolve the segments `.` and `..`; other names may have dots.
    return f"/api/credentials/{segment.replace('.', '%2E') if set(name) == {'.'} else segment}"
