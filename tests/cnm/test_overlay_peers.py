"""What an overlay namespace programs of the records it is told: sets of one address, counted forwarding entries."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from emu.cnm.drivers.peers import Peers
from emu.cnm.swarm.records import PeerRecord


class Table:
    """Stands for a namespace: what is programmed at this moment."""

    def __init__(self) -> None:
        self.neighbours: dict[str, str] = {}
        self.forwarding: set[tuple[str, str]] = set()
        self.peers = Peers(self.add_neighbour, self.remove_neighbour, self.add_forwarding, self.remove_forwarding)

    def add_neighbour(self, record: PeerRecord) -> None:
        assert record.address_text not in self.neighbours
        self.neighbours[record.address_text] = record.mac_text

    def remove_neighbour(self, record: PeerRecord) -> None:
        assert self.neighbours.pop(record.address_text) == record.mac_text

    def add_forwarding(self, record: PeerRecord) -> None:
        assert entry_of(record) not in self.forwarding
        self.forwarding.add(entry_of(record))

    def remove_forwarding(self, record: PeerRecord) -> None:
        self.forwarding.remove(entry_of(record))


def entry_of(record: PeerRecord) -> tuple[str, str]:
    return record.mac_text, str(record.tunnel_endpoint)


def record(endpoint: str, address: int, mac: int, node: int | None) -> PeerRecord:
    """A record with small numbers for everything; node None: its address is not known yet."""
    return PeerRecord(
        endpoint,
        "network",
        f"host{node}",
        ipaddress.IPv4Interface(f"10.0.1.{address}/24"),
        b"\x02\x42\x0a\x00\x01" + bytes((mac,)),
        None if node is None else ipaddress.IPv4Address(f"198.18.0.{node}"),
    )


def test_a_record_is_a_neighbour_and_a_forwarding_entry() -> None:
    table = Table()
    peer = record("e1", 4, 4, 2)
    table.peers.add(peer)
    assert table.neighbours == {"10.0.1.4": "02:42:0a:00:01:04"}
    assert table.forwarding == {("02:42:0a:00:01:04", "198.18.0.2")}
    table.peers.remove(peer)
    assert (table.neighbours, table.forwarding) == ({}, set())


def test_of_two_records_with_one_address_the_first_is_programmed_and_then_the_other() -> None:
    table = Table()
    old, new = record("old", 4, 4, 2), record("new", 4, 4, 3)
    table.peers.add(old)
    table.peers.add(new)
    assert table.forwarding == {entry_of(old)}
    table.peers.remove(old)
    assert table.forwarding == {entry_of(new)}
    assert table.neighbours == {"10.0.1.4": "02:42:0a:00:01:04"}


def test_a_record_that_was_never_programmed_goes_without_a_trace() -> None:
    table = Table()
    old, new = record("old", 4, 4, 2), record("new", 4, 4, 3)
    table.peers.add(old)
    table.peers.add(new)
    table.peers.remove(new)
    assert table.forwarding == {entry_of(old)}


def test_two_addresses_of_one_mac_share_the_forwarding_entry() -> None:
    table = Table()
    one, two = record("one", 4, 9, 2), record("two", 5, 9, 2)
    table.peers.add(one)
    table.peers.add(two)
    table.peers.remove(one)
    assert table.forwarding == {entry_of(two)}
    table.peers.remove(two)
    assert table.forwarding == set()


def test_a_record_without_a_tunnel_endpoint_waits() -> None:
    table = Table()
    early = record("e1", 4, 4, None)
    table.peers.add(early)
    assert table.neighbours == {}
    table.peers.remove(early)
    table.peers.add(record("e1", 4, 4, 2))
    assert set(table.neighbours) == {"10.0.1.4"}


records = st.builds(record, st.text("abc", min_size=1), st.integers(2, 4), st.integers(2, 4), st.integers(1, 3))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50), records), max_size=40))
def test_what_is_programmed_is_the_oldest_record_of_every_address(steps: list[tuple[bool, int, PeerRecord]]) -> None:
    table = Table()
    live: list[PeerRecord] = []
    for is_addition, index, new in steps:
        if is_addition and new not in live:
            table.peers.add(new)
            live.append(new)
        elif live and not is_addition:
            table.peers.remove(live.pop(index % len(live)))
        oldest: dict[str, PeerRecord] = {}
        for entry in live:
            oldest.setdefault(entry.address_text, entry)
        assert table.neighbours.keys() == oldest.keys()
    oldest = {}
    for entry in live:
        oldest.setdefault(entry.address_text, entry)
    if len({entry.key for entry in live}) == len(live):
        assert table.forwarding == {entry_of(entry) for entry in oldest.values()}
