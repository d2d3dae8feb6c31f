"""Structured logging: one line an event, JSON or text, with named fields; never a query, a key or a secret."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from pydantic_core import PydanticSerializationError, to_json

from shared.api.times import rfc3339
from shared.configuration.settings import CommonSettings
from shared.tracing.context import current

# No line shows its thread, process and source line, which cost logging more than the rest of a record. These are the
# switches that the Logging HOWTO names under "Optimization".
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
logging._srcfile = None  # noqa: SLF001


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    if (span := current.get()) is not None and "trace_id" not in fields:
        fields = {**fields, "trace_id": span.trace_id}
    if record.exc_info and record.exc_info[1] is not None:
        # The type and the place; the message is left out, since it may quote a client's input.
        error = record.exc_info[1]
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else None
        fields = {**fields, "error": type(error).__name__, "where": where}
    return fields


class JsonFormatter(logging.Formatter):
    """One JSON object a line; `common` fields are on each."""

    def __init__(self, common: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._common = common or {}

    def format(self, record: logging.LogRecord) -> str:
        """Format time, level, logger and event, then the event's own fields."""
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
        except PydanticSerializationError:  # a text that is not UTF-8, such as a file's name
            return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """A line for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the time of day, the event, and its fields as `name=value`."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        level = "" if record.levelno <= logging.INFO else f"{record.levelname} "
        return f"{clock} {level}{record.getMessage()}{fields}"


def configure(settings: CommonSettings) -> logging.StreamHandler[TextIO]:
    """Log to standard error, in the format and at the level of the settings; return the handler that writes."""
    handler: logging.StreamHandler[TextIO] = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if settings.log_format == "text" else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    # Libraries log their own work at INFO; their warnings are kept.
    for noisy in ("rq", "rq.worker", "uvicorn", "httpx", "httpcore", "asyncio", "mangum"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
    # The SDK quotes the CLI's output; the gateway logs events of its own instead.
    logging.getLogger("claude_agent_sdk").setLevel(logging.CRITICAL + 1)
    return handler


_EMPTY = {**vars(logging.makeLogRecord({})), "fields": {}}


class _Event(logging.LogRecord):
    """The record of an event, with no value for the place of its call, which takes longer than the rest of a record."""

    def __init__(self, name: str, level: int, event: str, fields: dict[str, Any]) -> None:
        now = time.time()
        self.__dict__ = {
            **_EMPTY,
            "name": name,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": event,
            "created": now,
            "msecs": now % 1 * 1000,
            "fields": fields,
        }


def event(logger: logging.Logger, name: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event with its fields."""
    if logger.isEnabledFor(level):
        logger.handle(_Event(logger.name, level, name, fields))
