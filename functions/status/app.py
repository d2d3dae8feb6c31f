"""The app and the Lambda handler of the status function. A schedule calls the handler too."""

from functions.status.routes import polled, router
from functions.status.start import start
from functions.status.tick import tick
from shared.configuration.settings import StatusSettings
from shared.http.app import create_app, lambda_handler

app = create_app(polled, router, start)
handler = lambda_handler(app, StatusSettings, scheduled=tick)
