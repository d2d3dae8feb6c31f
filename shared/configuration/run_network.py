"""Settings of the network that runs have through the relay."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from shared.configuration.sources import TextSettings
from shared.configuration.types import Networks
from shared.egress import hosts


def _hosts(value: object) -> object:
    return tuple(hosts.parse(part) for part in value.replace(",", " ").split()) if isinstance(value, str) else value


class HostSettings(TextSettings):
    """The hosts that the tools of a run may reach; a request may name fewer."""

    run_allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)] = ()


class RunNetworkSettings(HostSettings):
    """The hosts, and the limits of the network; `run_allowed_networks` are allowed although they are not public."""

    run_allowed_networks: Networks = ()
    max_run_network_bytes: int = Field(1_073_741_824, ge=1 << 20, le=1 << 50)
