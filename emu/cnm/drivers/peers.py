"""The remote endpoints of one overlay network, and which of them are programmed.

Source: libnetwork peerdb.go. Records that share an address form a set: the first one is programmed, the next one takes
over when it goes. Entries of the forwarding database are counted, because several records may lead to the same one.
"""

from __future__ import annotations

from collections.abc import Callable

from emu.cnm.swarm.records import PeerRecord

Entry = tuple[bytes, bytes]
"""Tunnel endpoint and MAC address."""


class Peers:
    """The remote endpoints that a host knows of one network.

    add_neighbour, remove_neighbour: program the address of a record. add_forwarding, remove_forwarding: its MAC.
    """

    def __init__(
        self,
        add_neighbour: Callable[[PeerRecord], None],
        remove_neighbour: Callable[[PeerRecord], None],
        add_forwarding: Callable[[PeerRecord], None],
        remove_forwarding: Callable[[PeerRecord], None],
    ) -> None:
        self._add_neighbour = add_neighbour
        self._remove_neighbour = remove_neighbour
        self._add_forwarding = add_forwarding
        self._remove_forwarding = remove_forwarding
        self._by_address: dict[bytes, list[PeerRecord]] = {}
        self._counts: dict[Entry, int] = {}

    def add(self, record: PeerRecord) -> None:
        """Enter a record; one without a tunnel endpoint waits for the record that has one."""
        if record.tunnel_endpoint is None:
            return
        same = self._by_address.setdefault(record.key, [])
        same.append(record)
        if len(same) == 1:
            self._program(record)

    def remove(self, record: PeerRecord) -> None:
        """Take a record out; another one with the same address is programmed in its place."""
        if record.tunnel_endpoint is None:
            return
        same = self._by_address[record.key]
        was_programmed = same[0] == record
        same.remove(record)
        if was_programmed:
            self._unprogram(record)
            if same:
                self._program(same[0])
        if not same:
            del self._by_address[record.key]

    def _program(self, record: PeerRecord) -> None:
        self._add_neighbour(record)
        key = _entry(record)
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] == 1:
            self._add_forwarding(record)

    def _unprogram(self, record: PeerRecord) -> None:
        self._remove_neighbour(record)
        key = _entry(record)
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]
            self._remove_forwarding(record)


def _entry(record: PeerRecord) -> Entry:
    assert record.tunnel_endpoint is not None, record
    return record.tunnel_endpoint.packed, record.mac
