"""What a run publishes while it goes on, and the messages that reach it."""

from collections.abc import Callable, Sequence

from shared.store.jobs.steps import Message


class Publisher:
    """Publishes what a run does, in order, and passes it the messages to its job; this one does neither."""

    def add_text(self, text: str) -> None:
        """Publish text that the model wrote."""

    def add_step(self, step_id: str, data: str, *, is_new: bool) -> None:
        """Publish a step, as JSON, when it begins and when it changes."""

    def count_step(self) -> None:
        """Count a step that is not published."""

    def pass_messages_to(self, take: Callable[[Sequence[Message]], None]) -> None:
        """Pass the messages to the job to the run, those too that have come before."""

    async def close(self) -> None:
        """Let the job take no more messages, unless there are some, which are passed to the run."""
