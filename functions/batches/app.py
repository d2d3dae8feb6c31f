"""The app and the Lambda handler of the batches function."""

from functions.batches.routes import lists, router
from shared.configuration.settings import StatusSettings, SubmitSettings
from shared.http.app import create_app, lambda_handler

app = create_app(router, lists)
handler = lambda_handler(app, StatusSettings, SubmitSettings)
