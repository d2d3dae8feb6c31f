"""The app and the Lambda handler of the admin function."""

from functions.admin.callers import router as callers
from functions.admin.pages import pages
from functions.admin.reports import router as reports
from functions.admin.routes import router
from functions.admin.schedules import router as schedules
from shared.configuration.settings import AdminSettings
from shared.http.app import create_app, lambda_handler

app = create_app(router, callers, reports, schedules, pages)
handler = lambda_handler(app, AdminSettings)
