"""The submit function: its app, and its Lambda handler."""

from functions.submit.routes import router
from shared.http.app import create_app, lambda_handler
from shared.settings import SubmitSettings

app = create_app(router)
handler = lambda_handler(app, SubmitSettings)
