"""The app and the Lambda handler of the schedules function."""

from functions.schedules.routes import lists, router
from shared.configuration.settings import SubmitSettings
from shared.http.app import create_app, lambda_handler

app = create_app(router, lists)
handler = lambda_handler(app, SubmitSettings)
