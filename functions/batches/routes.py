"""The routes of batches: batches, ours and those of Anthropic's API."""

from fastapi import APIRouter

router = APIRouter(tags=["batches"])
