"""The batches function: its app, and its Lambda handler."""

from functions.batches.anthropic_routes import router as anthropic
from functions.batches.routes import lists, router
from shared.http.app import create_app, lambda_handler
from shared.settings import StatusSettings, SubmitSettings

app = create_app(router, lists, anthropic)
handler = lambda_handler(app, StatusSettings, SubmitSettings)
