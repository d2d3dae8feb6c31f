"""The routes of webhook."""

from fastapi import APIRouter

router = APIRouter()
