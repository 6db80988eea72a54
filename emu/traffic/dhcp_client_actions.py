"""What the DHCP client machine wants done by the program that runs it."""

from __future__ import annotations

from dataclasses import dataclass

from emu.traffic.dhcp_client_lease import ClientLease
from emu.wire.dhcp import DhcpMessage


@dataclass(frozen=True, slots=True)
class Send:
    """A message to send: by broadcast from 0.0.0.0, or with `server` given by unicast from the client's address."""

    message: DhcpMessage
    server: bytes | None = None


@dataclass(frozen=True, slots=True)
class ProbeAddress:
    """An ARP probe to send for `address`; whoever answers must be reported to `DhcpClient.conflict`."""

    address: bytes


@dataclass(frozen=True, slots=True)
class Bind:
    """A lease to put into effect. is_new: False when a lease was renewed: new times, perhaps new parameters."""

    lease: ClientLease
    is_new: bool


@dataclass(frozen=True, slots=True)
class Unbind:
    """A lease to take out of effect."""

    lease: ClientLease


@dataclass(frozen=True, slots=True)
class Failed:
    """A round of attempts ended without an address, or several exchanges with a refusal; `state` names where."""

    state: str


Action = Send | ProbeAddress | Bind | Unbind | Failed
