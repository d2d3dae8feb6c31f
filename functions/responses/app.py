"""The responses function: its app, and its Lambda handler."""

from functions.responses.routes import router
from shared.http.app import create_app, lambda_handler
from shared.settings import StatusSettings, SubmitSettings

app = create_app(router)
handler = lambda_handler(app, StatusSettings, SubmitSettings)
