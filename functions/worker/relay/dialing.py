"""Connects to the target of a run: to an address that was checked, or through the proxy of the worker."""

import asyncio
from typing import cast
from urllib.parse import SplitResult

from functions.worker.relay.connecting import connect_head, is_connected, keep_alive, proxy_for
from functions.worker.relay.egress import Egress, EgressError
from functions.worker.relay.heads import END
from shared.egress import targets

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# Seconds until a connection is made, the lookup included, and until the next address is tried.
_WITHIN, _NEXT_AFTER = 10.0, 4.0


async def dial(target: targets.Target, egress: Egress) -> Streams:
    """Return a connection to a target; raise EgressError."""
    proxy = proxy_for("https", target.host)
    try:
        async with asyncio.timeout(_WITHIN):
            streams = await (_directly(target, egress) if proxy is None else _through(proxy, target))
    except TimeoutError:
        raise EgressError(504, "failed", f"The connection to {target.host} timed out") from None
    except OSError:
        raise EgressError(502, "failed", f"The connection to {target.host} failed") from None
    keep_alive(cast("asyncio.Transport", streams[1].transport))
    return streams


async def _directly(target: targets.Target, egress: Egress) -> Streams:
    """Resolve the name once, check all addresses, and connect to the first that answers."""
    try:
        addresses = list(dict.fromkeys(await targets.resolve(target, egress.owner)))
    except (OSError, UnicodeError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise EgressError(502, "failed", f"{target.host} does not resolve") from None
    if any(targets.refused(address, egress.policy.networks) for address in addresses):
        reason = f"{target.host} resolves to an address that is not public"
        raise EgressError(403, "refused", reason, "Networks are allowed by RUN_ALLOWED_NETWORKS")
    failure: OSError = OSError("no address")
    for number, address in enumerate(addresses, 1):
        # The last one has all the time that is left.
        within = None if number == len(addresses) else _NEXT_AFTER
        try:
            async with asyncio.timeout(within):
                return await asyncio.open_connection(address, target.port)
        except OSError as error:
            failure = error
    raise failure


async def _through(proxy: SplitResult, target: targets.Target) -> Streams:
    """Have a proxy connect to the name, which it resolves itself."""
    reader, writer = await asyncio.open_connection(proxy.hostname or "", proxy.port or 80)
    try:
        writer.write(connect_head(f"{target.host}:{target.port}", proxy))
        if is_connected(await reader.readuntil(END)):
            return reader, writer
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    except BaseException:
        writer.transport.abort()
        raise
    writer.transport.abort()
    raise EgressError(502, "failed", f"The proxy of the worker refused {target.host}")
