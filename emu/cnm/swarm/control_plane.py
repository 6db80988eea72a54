"""What distributes the records of endpoints among nodes: the interface that every control plane has.

`emu.cnm.swarm.replication` has the two settings that are built, `instant` and `delayed`; a protocol that sends real
gossip messages can be put in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from emu.cnm.swarm.records import PeerListener, PeerRecord

#: Kinds of updates, as `drop_next` names them.
CREATE, DELETE = "create", "delete"
KINDS = (CREATE, DELETE)


class ControlPlane(Protocol):
    """Distributes endpoint records. Only nodes that have a network are told its records.

    Nodes are named by their hosts' names. Whatever is done here is background work: it does not keep a run alive.
    """

    def node_joined(self, node: str) -> None:
        """Add a node."""
        ...

    def node_left(self, node: str) -> None:
        """Take a node out that says so; its records are withdrawn."""
        ...

    def join_network(self, node: str, network_id: str, listener: PeerListener) -> None:
        """Begin to tell a node about a network, first what there is already."""
        ...

    def leave_network(self, node: str, network_id: str) -> None:
        """Stop telling a node about a network; its listener is not called any more."""
        ...

    def publish(self, record: PeerRecord) -> None:
        """Tell the other nodes of the network about an endpoint that is new or has changed."""
        ...

    def withdraw(self, record: PeerRecord) -> None:
        """Tell the other nodes of the network that an endpoint is gone."""
        ...

    def reachability_changed(self) -> None:
        """Find out which nodes can reach each other now."""
        ...

    def drop_next(self, node: str, kind: str) -> None:
        """Lose the next update of a kind ("create" or "delete") on its way to a node."""
        ...

    def records(self, node: str, network_id: str) -> Sequence[PeerRecord]:
        """Return what a node knows of other nodes' endpoints on a network."""
        ...

    def members(self, network_id: str) -> Sequence[str]:
        """Return the nodes that have a network, in the order in which they joined the swarm."""
        ...
