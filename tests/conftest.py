import asyncio

import pytest

# Mangum sets an event loop when a handler is made, which is when its module is imported, and never closes it.
# Held here, it is one loop for all of them, and it is closed.
_mangums = asyncio.new_event_loop()
asyncio.set_event_loop(_mangums)


def pytest_unconfigure(config: pytest.Config) -> None:
    _mangums.close()
