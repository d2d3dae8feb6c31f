"""Every function's routes in one app, for uvicorn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from functions.admin.routes import router as admin
from functions.status.routes import router as status
from functions.submit.routes import router as submit
from functions.webhook.routes import router as webhook
from shared.http.app import create_app
from shared.logs import configure
from shared.settings import ALL_SETTINGS, ApiSettings, load
from shared.store.client import close_clients


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    # Here and not at import: uvicorn's worker processes import the app anew.
    for settings in ALL_SETTINGS:
        load(settings)
    configure(load(ApiSettings))
    yield
    await close_clients()


app = create_app(submit, status, webhook, admin, lifespan=_lifespan)
