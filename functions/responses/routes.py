"""The routes of responses: OpenAI's responses in background mode."""

from fastapi import APIRouter

router = APIRouter(tags=["responses"])
