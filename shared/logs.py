"""Log lines: one an event, JSON or text, with fields and never with a query, a key or a secret."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from shared.api.times import rfc3339
from shared.configuration.settings import CommonSettings

# What logging would find out for each line, and no line of ours tells: the thread and the process that it comes from.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    if record.exc_info and record.exc_info[1] is not None:
        # The kind and the place help; the message may quote what a client sent, so it stays out.
        error = record.exc_info[1]
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else None
        fields = {**fields, "error": type(error).__name__, "where": where}
    return fields


class JsonFormatter(logging.Formatter):
    """One JSON object a line; `common` is on each."""

    def __init__(self, common: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._common = common or {}

    def format(self, record: logging.LogRecord) -> str:
        """Write time, level, logger and event, then the event's own fields."""
        line = {
            "time": rfc3339(int(record.created * 1000)),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            **self._common,
            **_fields(record),
        }
        try:
            return to_json(line, fallback=str).decode()
        except PydanticSerializationError:  # a text that is no UTF-8, such as a file's name
            return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the time of day, the event and its fields as `name=value`."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        level = "" if record.levelno <= logging.INFO else f"{record.levelname} "
        return f"{clock} {level}{record.getMessage()}{fields}"


def configure(settings: CommonSettings) -> None:
    """Send every log line of this process to standard error, in the form and at the level asked for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if settings.log_format == "text" else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    # Libraries speak of themselves at INFO; their warnings are ours to know.
    for noisy in ("rq", "rq.worker", "uvicorn", "httpx", "httpcore", "asyncio", "mangum"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
    # The SDK quotes what the CLI wrote; what matters of it is an event of our own.
    logging.getLogger("claude_agent_sdk").setLevel(logging.CRITICAL + 1)


def event(logger: logging.Logger, name: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event with its fields."""
    if logger.isEnabledFor(level):
        # As `logger.log` does, without finding out from where it was called.
        record = logging.LogRecord(logger.name, level, "", 0, name, (), None)
        record.fields = fields
        logger.handle(record)
