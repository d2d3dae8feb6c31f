"""The app and the Lambda handler of the webhook function."""

from functions.webhook.routes import router
from shared.configuration.settings import WebhookSettings
from shared.http.app import create_app, lambda_handler

app = create_app(router)
handler = lambda_handler(app, WebhookSettings)
