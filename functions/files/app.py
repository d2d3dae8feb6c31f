"""The files function: its app, and its Lambda handler."""

from functions.files.routes import lists, router
from shared.configuration.settings import FilesSettings
from shared.http.app import create_app, lambda_handler

app = create_app(router, lists)
handler = lambda_handler(app, FilesSettings)
