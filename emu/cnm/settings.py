"""Checks of what a user asks for when connecting a container, with the engine's texts (FACTS 77, 81)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from emu.cnm.endpoint import EndpointSettings
from emu.cnm.ids import parse_mac
from emu.kernel.errors import Conflict, EmuError, InvalidValue, NotSupported

if TYPE_CHECKING:
    from emu.cnm.network import Network
    from emu.cnm.profile import Profile
    from emu.cnm.sandbox import Sandbox


def check_settings(profile: Profile, network: Network, settings: EndpointSettings, *, at_start: bool) -> None:
    """Check settings against a network, before anything is made.

    at_start: the container is being created or started (else: `docker network connect`).
    Raises InvalidValue with the engine's text, all problems in one error.
    """
    if settings.gw_priority and not profile.gateway_priority:
        raise NotSupported(f"gw_priority needs engine 28 or later; this is engine {profile.engine}")
    check_notation(profile, settings)
    problems = _address_problems(profile, network, settings, at_start=at_start)
    if settings.aliases and network.is_default_bridge:
        problems.append(profile.text("alias_on_default"))
    if not problems:
        return
    listed = problems[0] if len(problems) == 1 else "\n".join(f"* {problem}" for problem in problems)
    text = profile.text("endpoint_settings", error=listed)
    if at_start:
        text = profile.text("endpoint_config", network=network.name, error=text)
    raise InvalidValue(text)


def check_notation(profile: Profile, settings: EndpointSettings) -> None:
    """Check that a fixed address and a MAC address are ones at all.

    Raises InvalidValue with the engine's text.
    """
    if settings.mac_address is not None:
        parse_mac(settings.mac_address)
    if profile.address_notation_alone and settings.ipv4_address is not None \
            and _parse(settings.ipv4_address) is None:  # fmt: skip
        raise InvalidValue(profile.text("address_notation", address=settings.ipv4_address))


def _address_problems(profile: Profile, network: Network, settings: EndpointSettings, *, at_start: bool) -> list[str]:
    text = settings.ipv4_address
    if text is None:
        return []
    address = _parse(text)
    problems = [] if address is not None else [profile.text("address_notation", address=text)]
    if network.is_default_bridge:
        if ignores_address(profile, network, at_start=at_start):
            return problems
        problems.append(profile.text("address_on_default"))
    if profile.static_address_needs_subnet and not network.has_user_subnet:
        problems.append(profile.text("address_needs_subnet"))
    elif network.overlay is not None and not profile.static_address_checked_early:
        pass  # the manager finds it, and doesn't say so (FACT 71)
    elif not network.is_default_bridge and not _in_subnet(network, address) and network.pools:
        problems.append(profile.text("address_outside", address=text))
    # Engine 20.10 stops at the first problem.
    return problems if profile.static_address_checked_early else problems[:1]


def ignores_address(profile: Profile, network: Network, *, at_start: bool) -> bool:
    """Say whether a fixed address is silently not used: `docker run --ip` on 20.10's default bridge."""
    return at_start and network.is_default_bridge and profile.static_address_on_default_bridge == "ignored"


def _parse(text: str) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError:
        return None


def _in_subnet(network: Network, address: ipaddress.IPv4Address | None) -> bool:
    return address is not None and any(pool.subnet is not None and address in pool.subnet for pool in network.pools)


def start_error(profile: Profile, error: EmuError) -> EmuError:
    """Return the error as the engine words it when it comes up while a container starts (FACT 75)."""
    return type(error)(f"{profile.text('start_prefix')}{error}")


@contextmanager
def setting_up(profile: Profile) -> Iterator[None]:
    """Let errors of what is done inside be worded as those of a container that starts (`start_error`)."""
    try:
        yield
    except EmuError as error:
        raise start_error(profile, error) from None


def check_modes(profile: Profile, network: Network, sandbox: Sandbox) -> None:
    """Check that the networks `host` and `none` stay alone (FACTS 81, 89).

    Raises Conflict with the engine's text.
    """
    if network.driver_name == "host" and not sandbox.shares_host:
        raise Conflict(profile.text("host_connect"))
    if sandbox.shares_host and network.driver_name != "host":
        raise Conflict(
            "container sharing network namespace with another container or host cannot be connected to any "
            "other network"
        )
    others = [e.network for e in sandbox.endpoints if e.network is not network]
    if others and "null" in (network.driver_name, *(other.driver_name for other in others)):
        raise Conflict(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )
