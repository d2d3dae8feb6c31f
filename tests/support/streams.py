"""A client of event streams that can be cut anywhere and resumes."""

from dataclasses import dataclass, field

import httpx


@dataclass(frozen=True)
class Event:
    """An event as it was sent."""

    id: str
    kind: str
    data: str


@dataclass
class Stream:
    """Follows one job; `raw` has the complete events of all responses, `answers` counts the responses."""

    client: httpx.Client
    job_id: str
    last: str | None = None
    answers: int = 0
    raw: bytes = b""
    events: list[Event] = field(default_factory=list)

    def read(self, cut_after: int | None = None) -> bool:
        """Follow for one response, or for a number of its bytes; return whether there is more."""
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        self.answers += 1
        got, text = 0, b""
        with self.client.stream("GET", f"/api/query/{self.job_id}/events", headers=headers) as answer:
            if answer.status_code == 204:
                return False
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            for part in answer.iter_raw(1 if cut_after is not None else None):
                got += len(part)
                text += part
                *blocks, text = text.split(b"\n\n")
                for block in blocks:
                    self._take(block)
                if (cut_after is not None and got >= cut_after) or self.done:
                    break
        return not self.done

    @property
    def done(self) -> bool:
        """Whether the last event was received."""
        return bool(self.events) and self.events[-1].kind == "done"

    def to_the_end(self) -> "Stream":
        """Follow response by response until the job's end."""
        while self.read():
            pass
        return self

    def _take(self, block: bytes) -> None:
        if block.startswith((b"retry:", b":")):
            return
        fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
        self.events.append(Event(fields["id"], fields["event"], fields["data"]))
        self.last = fields["id"]
        self.raw += block + b"\n\n"
