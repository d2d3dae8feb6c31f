"""The app and the Lambda handler of the submit function."""

from functions.submit.decisions import router as decisions
from functions.submit.routes import router
from shared.configuration.settings import SubmitSettings
from shared.http.app import create_app, lambda_handler

app = create_app(router, decisions)
handler = lambda_handler(app, SubmitSettings)
