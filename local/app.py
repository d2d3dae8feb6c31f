"""The composed app: the routes of all functions in one ASGI app, for uvicorn."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from redis.exceptions import RedisError

from functions.admin.callers import router as admin_callers
from functions.admin.deployment import router as admin_deployment
from functions.admin.jobs import router as admin_jobs
from functions.admin.kept import router as admin_kept
from functions.admin.pages import pages as admin_pages
from functions.admin.reports import router as admin_reports
from functions.admin.routes import router as admin
from functions.admin.schedules import router as admin_schedules
from functions.anthropic.message_routes import router as anthropic_messages
from functions.anthropic.routes import router as anthropic
from functions.batches.routes import lists as batch_lists
from functions.batches.routes import router as batches
from functions.credentials.routes import router as credentials
from functions.files.routes import lists as file_lists
from functions.files.routes import router as files
from functions.openai.chat_routes import router as openai_chat
from functions.openai.routes import router as openai
from functions.schedules.routes import lists as schedule_lists
from functions.schedules.routes import router as schedules
from functions.status.routes import polled
from functions.status.routes import router as status
from functions.status.start import start
from functions.submit.decisions import router as decisions
from functions.submit.routes import router as submit
from functions.webhook.routes import router as webhook
from local.store_watch import watch
from local.turn_lines import one_write_a_turn
from shared.configuration.settings import HTTP_SETTINGS, ApiSettings, SubmitSettings, load
from shared.host.environment import hide
from shared.http.app import create_app
from shared.http.traffic import traffic
from shared.logs import configure, event
from shared.services import routing
from shared.store.callers import callers
from shared.store.redis.client import async_client, close_clients
from shared.tracing import spans

log = logging.getLogger("api")

# Objects that a process may create beyond those that it frees before the collector looks for cycles; 700 by default.
_COLLECT_AFTER = 10_000


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    # Not at import, because each of uvicorn's worker processes imports the app.
    for settings in HTTP_SETTINGS:
        load(settings)
    hide()
    settings = load(ApiSettings)
    handler = configure(settings)
    spans.start(settings)
    await _warn_without_keys(settings)
    watching = asyncio.create_task(watch(settings.redis_address))
    preparing = asyncio.create_task(routing.prepare(load(SubmitSettings)))
    # What was imported stays until the process ends, so that the collector need not visit it. A request creates some
    # hundred objects that reference counting frees; the default looks for cycles among them at every second request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
    with one_write_a_turn(handler):
        yield
    for task in (watching, preparing):
        task.cancel()
    await asyncio.wait({watching, preparing})
    await traffic.close(async_client(settings.redis_address))
    await close_clients()
    await asyncio.to_thread(spans.flush, spans.AT_THE_END)


async def _warn_without_keys(settings: ApiSettings) -> None:
    with suppress(RedisError):
        if settings.auth and not await callers.every(async_client(settings.redis_address)):
            event(log, "no_caller_has_a_key", logging.WARNING, make_one="claude-gateway keys create NAME")


app = create_app(
    submit,
    decisions,
    polled,
    status,
    start,
    webhook,
    credentials,
    files,
    file_lists,
    batches,
    batch_lists,
    schedules,
    schedule_lists,
    openai,
    openai_chat,
    anthropic,
    anthropic_messages,
    admin,
    admin_jobs,
    admin_callers,
    admin_deployment,
    admin_kept,
    admin_pages,
    admin_reports,
    admin_schedules,
    lifespan=_lifespan,
)
