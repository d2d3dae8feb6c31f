"""The app and the Lambda handler of the openai function."""

from functions.openai.chat_routes import router as chat
from functions.openai.routes import router
from shared.configuration.settings import StatusSettings, SubmitSettings
from shared.http.app import create_app, lambda_handler

app = create_app(router, chat)
handler = lambda_handler(app, StatusSettings, SubmitSettings)
