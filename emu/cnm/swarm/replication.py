"""The control plane without messages: every update reaches every node after a delay, unless the node is cut off.

Two settings: `INSTANT`, where everything takes no time, and `delayed(...)`, with what was recorded of Docker's gossip:
a node that is cut off is noticed 5 to 10 s later, one that is back within 5 s (FACT 64, FACTS29 40).

An update carries a version from one counter. A node ignores what is older than what it has; when it hears from a node
again after an interruption, it takes over all that node's records at once (gossip calls this a bulk sync). So all
tables converge to the live endpoints, whatever was lost or overtaken in between.

Limits: no messages are sent, so nothing of it can be captured, and blocked gossip ports have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emu.cnm.swarm.control_plane import CREATE, DELETE, KINDS
from emu.cnm.swarm.records import PeerListener, PeerRecord
from emu.kernel.errors import InvalidValue, NotFound
from emu.kernel.units import parse_time_ns

if TYPE_CHECKING:
    from random import Random

    from emu.kernel import Kernel, Timer

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Delays:
    """How long things take, each drawn evenly from a range in ns.

    propagation: until an update has reached a node. detection: until a node that is cut off is given up.
    recovery: until a node that is back is believed. per_node: other propagation delays, by receiving node.
    bulk_sync_ns: time between bulk syncs, which repair updates that were lost; None: they stay lost.
    """

    propagation: Range = (0, 0)
    detection: Range = (0, 0)
    recovery: Range = (0, 0)
    per_node: Mapping[str, Range] = field(default_factory=dict)
    bulk_sync_ns: int | None = None


INSTANT = Delays()
PROPAGATION = (10 * NS_PER_MS, 400 * NS_PER_MS)
DETECTION = (5 * NS_PER_S, 10 * NS_PER_S)
RECOVERY = (0, 5 * NS_PER_S)
BULK_SYNC_NS = 30 * NS_PER_S


def delayed(
    propagation: tuple[str | int, str | int] | None = None,
    per_node: Mapping[str, tuple[str | int, str | int]] | None = None,
) -> Delays:
    """Return delays as Docker's gossip has them.

    propagation: lowest and highest delay of an update, ("10ms", "400ms"). per_node: the same for single receivers.
    Raises InvalidValue for anything that is not two times in order.
    """
    return Delays(
        propagation=PROPAGATION if propagation is None else read_range(propagation),
        detection=DETECTION,
        recovery=RECOVERY,
        per_node={node: read_range(value) for node, value in (per_node or {}).items()},
        bulk_sync_ns=BULK_SYNC_NS,
    )


def read_range(value: tuple[str | int, str | int]) -> Range:
    """Read a pair of times. Raises InvalidValue when it isn't one, or not in order."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise InvalidValue(f'invalid propagation delay {value!r}: expected two times such as ("10ms", "400ms")')
    low, high = (parse_time_ns(part, "propagation delay") for part in value)
    if low > high:
        raise InvalidValue(f"invalid propagation delay {value!r}: the first time must not be greater than the second")
    return low, high


@dataclass(frozen=True, slots=True)
class _Update:
    kind: str
    record: PeerRecord
    version: int


class _Entry:
    """What a node knows of one endpoint: its record, None when it is known to be gone, and of which version."""

    __slots__ = ("origin", "record", "version")

    def __init__(self, origin: str, record: PeerRecord | None, version: int) -> None:
        self.origin = origin
        self.record = record
        self.version = version


class _Table:
    """What a node knows of one network."""

    __slots__ = ("entries", "listener", "synced")

    def __init__(self, listener: PeerListener) -> None:
        self.listener = listener
        self.entries: dict[str, _Entry] = {}
        #: by origin: updates up to this version are part of a bulk sync already
        self.synced: dict[str, int] = {}


class _Contact:
    """What one node thinks of another: heard is False from an interruption until the node is believed again.

    has_met: they have reached each other before, so that there is something to recover from.
    """

    __slots__ = ("has_met", "heard", "reachable", "timer")

    def __init__(self, reachable: bool, timer: Timer) -> None:
        self.reachable = reachable
        self.heard = reachable
        self.has_met = reachable
        self.timer = timer


class _Node:
    __slots__ = ("contacts", "drops", "name", "own", "tables")

    def __init__(self, name: str) -> None:
        self.name = name
        self.own: dict[str, dict[str, PeerRecord]] = {}
        self.tables: dict[str, _Table] = {}
        self.contacts: dict[str, _Contact] = {}
        self.drops: list[str] = []


class Replication:
    """A control plane whose updates take the time that `delays` says.

    reachable: whether two nodes can reach each other on the underlay at this moment.
    """

    def __init__(self, kernel: Kernel, delays: Delays, reachable: Callable[[str, str], bool]) -> None:
        self._kernel = kernel
        self._delays = delays
        self._reachable = reachable
        self._nodes: dict[str, _Node] = {}
        self._version = 0
        self._random: Random = kernel.random("swarm control plane")

    # -- nodes --------------------------------------------------------------------------------------------------------

    def node_joined(self, node: str) -> None:
        """Add a node."""
        assert node not in self._nodes, node
        new = self._nodes[node] = _Node(node)
        for other in self._nodes.values():
            if other is not new:
                for one, two in ((new, other), (other, new)):
                    if two.name in one.contacts:
                        continue  # it has been here before; what is known of it goes as it would have
                    timer = self._kernel.timer(self._contact_due, (one, two.name), background=True)
                    one.contacts[two.name] = _Contact(self._reachable(one.name, two.name), timer)
        self.reachability_changed()

    def node_left(self, node: str) -> None:
        """Take a node out that says so; its records are withdrawn."""
        leaving = self._node(node)
        for records in list(leaving.own.values()):
            for record in list(records.values()):
                self.withdraw(record)
        leaving.tables.clear()
        for contact in leaving.contacts.values():
            contact.timer.stop()
        del self._nodes[node]

    def reachability_changed(self) -> None:
        """Find out which nodes can reach each other now, and begin to notice it."""
        for node in self._nodes.values():
            for name, contact in node.contacts.items():
                if name not in self._nodes:
                    continue
                reachable = self._reachable(node.name, name)
                if reachable == contact.reachable:
                    continue
                contact.reachable = reachable
                contact.heard = False
                delay = self._draw(self._delays.recovery if reachable else self._delays.detection)
                if not contact.has_met:
                    contact.has_met, delay = True, 0
                if delay:
                    contact.timer.start(delay)
                else:
                    contact.timer.stop()
                    self._contact_due((node, name))

    def _contact_due(self, pair: tuple[_Node, str]) -> None:
        """Believe at last that a node is gone, or back."""
        node, other = pair
        contact = node.contacts[other]
        if contact.reachable:
            contact.heard = True
            for network_id in list(node.tables):
                self._sync(node, other, network_id)
            return
        for table in list(node.tables.values()):
            for endpoint_id, entry in list(table.entries.items()):
                if entry.origin == other:
                    del table.entries[endpoint_id]
                    _tell(table.listener, entry.record, None)

    # -- networks -----------------------------------------------------------------------------------------------------

    def join_network(self, node: str, network_id: str, listener: PeerListener) -> None:
        """Begin to tell a node about a network: what there is already comes as new updates do."""
        joining = self._node(node)
        assert network_id not in joining.tables, (node, network_id)
        joining.tables[network_id] = _Table(listener)
        for other in list(self._nodes.values()):
            if other is not joining and network_id in other.own:
                self._later(joining, self._sync_if_heard, (joining, other.name, network_id))

    def leave_network(self, node: str, network_id: str) -> None:
        """Stop telling a node about a network."""
        del self._node(node).tables[network_id]

    def members(self, network_id: str) -> Sequence[str]:
        """Return the nodes that have a network, in the order in which they joined the swarm."""
        return [node.name for node in self._nodes.values() if network_id in node.tables]

    # -- records ------------------------------------------------------------------------------------------------------

    def publish(self, record: PeerRecord) -> None:
        """Tell the other nodes of the network about an endpoint that is new or has changed."""
        self._node(record.node).own.setdefault(record.network_id, {})[record.endpoint_id] = record
        self._send(CREATE, record)

    def withdraw(self, record: PeerRecord) -> None:
        """Tell the other nodes of the network that an endpoint is gone."""
        own = self._node(record.node).own
        records = own[record.network_id]
        del records[record.endpoint_id]
        if not records:
            del own[record.network_id]
        self._send(DELETE, record)

    def records(self, node: str, network_id: str) -> Sequence[PeerRecord]:
        """Return what a node knows of other nodes' endpoints on a network."""
        table = self._node(node).tables.get(network_id)
        entries = () if table is None else table.entries.values()
        return [entry.record for entry in entries if entry.record is not None]

    def drop_next(self, node: str, kind: str) -> None:
        """Lose the next update of a kind on its way to a node.

        Raises InvalidValue for another kind than "create" and "delete".
        """
        if kind not in KINDS:
            raise InvalidValue(f'invalid kind of update "{kind}": expected "create" or "delete"')
        self._node(node).drops.append(kind)

    def _node(self, name: str) -> _Node:
        node = self._nodes.get(name)
        if node is None:
            known = ", ".join(self._nodes) or "none"
            raise NotFound(f"node {name} not found; the swarm's nodes are: {known}")
        return node

    # -- updates under way --------------------------------------------------------------------------------------------

    def _send(self, kind: str, record: PeerRecord) -> None:
        self._version += 1
        update = _Update(kind, record, self._version)
        for node in list(self._nodes.values()):
            if node.name == record.node or record.network_id not in node.tables or not self._hears(node, record.node):
                continue
            if kind in node.drops:
                node.drops.remove(kind)
                self._sync_soon(node, record)
                continue
            self._later(node, self._deliver, (node, update))

    def _later(self, node: _Node, fn: Callable[..., None], arg: object) -> None:
        delay = self._draw(self._delays.per_node.get(node.name, self._delays.propagation))
        if delay:
            self._kernel.call_later(delay, fn, arg, background=True)
        else:
            fn(arg)

    def _sync_soon(self, node: _Node, record: PeerRecord) -> None:
        """An update is lost: the next bulk sync brings what it said, if there are any."""
        period = self._delays.bulk_sync_ns
        if period is not None:
            delay = period - self._kernel.now % period
            argument = (node, record.node, record.network_id)
            self._kernel.call_later(delay, self._sync_if_heard, argument, background=True)

    def _deliver(self, arrival: tuple[_Node, _Update]) -> None:
        node, update = arrival
        record = update.record
        table = node.tables.get(record.network_id)
        if table is None or self._nodes.get(node.name) is not node or not self._hears(node, record.node):
            return
        if update.version > table.synced.get(record.node, 0):
            _apply(table, update)

    def _sync_if_heard(self, arrival: tuple[_Node, str, str]) -> None:
        node, origin, network_id = arrival
        if self._nodes.get(node.name) is node and self._hears(node, origin):
            self._sync(node, origin, network_id)

    def _sync(self, node: _Node, origin: str, network_id: str) -> None:
        """Take over all that another node says about a network."""
        table = node.tables.get(network_id)
        if table is None:
            return
        other = self._nodes.get(origin)
        live = {} if other is None else other.own.get(network_id, {})
        table.synced[origin] = self._version
        for endpoint_id, entry in list(table.entries.items()):
            if entry.origin == origin and endpoint_id not in live:
                del table.entries[endpoint_id]
                _tell(table.listener, entry.record, None)
        for record in list(live.values()):
            _apply(table, _Update(CREATE, record, self._version))

    def _hears(self, node: _Node, origin: str) -> bool:
        """Whether updates from a node arrive at another; the last words of a node that has left always do."""
        return origin not in self._nodes or node.contacts[origin].heard

    def _draw(self, limits: Range) -> int:
        low, high = limits
        return low if low == high else self._random.randint(low, high)


def _apply(table: _Table, update: _Update) -> None:
    """Enter an update, unless something newer is known."""
    record = update.record
    entry = table.entries.get(record.endpoint_id)
    if entry is not None and entry.version > update.version:
        return
    new = record if update.kind == CREATE else None
    table.entries[record.endpoint_id] = _Entry(record.node, new, update.version)
    _tell(table.listener, None if entry is None else entry.record, new)


def _tell(listener: PeerListener, old: PeerRecord | None, new: PeerRecord | None) -> None:
    if old == new:
        return
    if old is not None:
        listener.peer_removed(old)
    if new is not None:
        listener.peer_added(new)
