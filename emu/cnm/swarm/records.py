"""What nodes tell each other about their endpoints.

Source: reference 4.6 (overlay_peer_table and endpoint_table, here one record).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """One endpoint of one node.

    endpoint_id, network_id: what it is. node: where it is.
    address: its address with prefix. mac: six bytes.
    tunnel_endpoint: the node's address on the underlay; None as long as the node has none.
    names: what containers find it by, the container's name first; none for a load balancer's endpoint.
    """

    endpoint_id: str
    network_id: str
    node: str
    address: ipaddress.IPv4Interface
    mac: bytes
    tunnel_endpoint: ipaddress.IPv4Address | None
    names: tuple[str, ...] = ()


class PeerListener(Protocol):
    """A node's side of one network: is told what it learns of other nodes' endpoints."""

    def peer_added(self, record: PeerRecord) -> None:
        """Take note of a remote endpoint."""
        ...

    def peer_removed(self, record: PeerRecord) -> None:
        """Forget a remote endpoint."""
        ...
