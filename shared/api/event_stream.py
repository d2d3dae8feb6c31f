"""The format of server-sent events."""

from shared.api.lines import as_one_line


def encode_event(kind: str, data: str, event_id: str | None = None) -> bytes:
    """Write an event; `data` is JSON."""
    number = "" if event_id is None else f"id: {event_id}\n"
    return f"{number}event: {kind}\ndata: {as_one_line(data)}\n\n".encode()
