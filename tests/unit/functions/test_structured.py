"""The check of an answer has its own limits."""

import asyncio
from contextlib import suppress

import psutil

from functions.worker.cli.structured import Check

# Each step checks the value twice, so that the whole check takes 2^40 steps.
STEPS = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
ENDLESS = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a0"}}, "$defs": {**STEPS, "a40": {}}}
PATTERN = {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}}


async def checked(schema, value):
    check = Check(schema)
    try:
        return await check.result(value)
    finally:
        await check.close()


async def test_the_checking_process_has_limited_memory_and_ends_with_its_task():
    task = asyncio.create_task(checked(ENDLESS, {"a": 1}))
    me, limits = psutil.Process(), None
    async with asyncio.timeout(20):
        while limits != (1 << 30, 1 << 30):
            for child in me.children():
                with suppress(psutil.Error):  # a process of an earlier test may end meanwhile
                    limits = child.rlimit(psutil.RLIMIT_AS) if "-c" in child.cmdline() else limits
            await asyncio.sleep(0.02)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not [child for child in me.children() if child.status() != psutil.STATUS_ZOMBIE and "-c" in child.cmdline()]


async def test_an_answer_is_checked_against_its_schema():
    fits = await checked(PATTERN, {"a": "aaa"})
    assert (fits.fits, fits.value) == (True, {"a": "aaa"})
    assert not (await checked(PATTERN, {"a": "b"})).fits


async def test_a_process_that_was_killed_before_the_result_is_started_again():
    """Catches an answer that counts as unfit because a tool has killed all processes that it can see."""
    check = Check(PATTERN)
    process = await check._starting
    process.kill()
    await process.wait()
    assert (await check.result({"a": "aaa"})).fits
    again = await check._starting
    await check.close()
    assert again is not process
    assert again.returncode == 0


async def test_a_run_without_a_result_leaves_no_check_behind():
    """Catches a process that waits for ever for the result of a run that failed."""
    check = Check(PATTERN)
    process = await check._starting
    await check.close()
    assert process.returncode == -9
