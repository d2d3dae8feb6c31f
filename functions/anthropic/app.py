"""The app and the Lambda handler of the anthropic function."""

from functions.anthropic.message_routes import router as messages
from functions.anthropic.routes import router
from shared.configuration.settings import StatusSettings, SubmitSettings
from shared.http.app import create_app, lambda_handler

app = create_app(router, messages)
handler = lambda_handler(app, StatusSettings, SubmitSettings)
