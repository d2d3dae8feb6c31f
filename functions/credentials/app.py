"""The credentials function: its app, and its Lambda handler."""

from functions.credentials.routes import router
from shared.configuration.settings import CredentialsSettings
from shared.http.app import create_app, lambda_handler

app = create_app(router)
handler = lambda_handler(app, CredentialsSettings)
