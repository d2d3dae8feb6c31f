"""Errors of parameters of Anthropic's API."""

from shared.api.errors import FieldError, InvalidRequest

UNSUPPORTED = "not supported; remove it"


def refused(place: str, why: str) -> InvalidRequest:
    """Return the error of one parameter, named by its place in the body."""
    pointer = "/" + place.replace(".", "/")
    return InvalidRequest(f"{place}: {why}", errors=(FieldError(pointer, why),))
