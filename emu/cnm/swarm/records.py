"""What nodes tell each other about their endpoints.

Source: libnetwork networkdb (overlay_peer_table and endpoint_table, here one record).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Protocol

from emu.wire.address import mac_to_text


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """One endpoint of one node.

    endpoint_id, network_id: what it is. node: where it is.
    address: its address with prefix; None as long as it waits for a lease. mac: six bytes.
    tunnel_endpoint: the node's address on the underlay; None as long as the node has none.
    names: what containers find it by, the container's name first; none for a load balancer's endpoint.
    key, address_text, mac_text: the address as bytes and both as text, made once for all nodes that program them.
    """

    endpoint_id: str
    network_id: str
    node: str
    address: ipaddress.IPv4Interface | None
    mac: bytes
    tunnel_endpoint: ipaddress.IPv4Address | None
    names: tuple[str, ...] = ()
    key: bytes = field(init=False, compare=False, repr=False)
    address_text: str = field(init=False, compare=False, repr=False)
    mac_text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        ip = None if self.address is None else self.address.ip
        object.__setattr__(self, "key", b"" if ip is None else ip.packed)
        object.__setattr__(self, "address_text", "" if ip is None else str(ip))
        object.__setattr__(self, "mac_text", mac_to_text(self.mac))


class PeerListener(Protocol):
    """A node's side of one network: is told what it learns of other nodes' endpoints."""

    def peer_added(self, record: PeerRecord) -> None:
        """Take note of a remote endpoint."""
        ...

    def peer_removed(self, record: PeerRecord) -> None:
        """Forget a remote endpoint."""
        ...
