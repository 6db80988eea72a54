"""The control plane: what reaches whom, when, and that all tables end up with the live endpoints."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.cnm.swarm.records import PeerRecord
from emu.cnm.swarm.replication import INSTANT, Delays, Replication, delayed
from emu.kernel import Kernel
from emu.kernel.errors import InvalidValue, NotFound

S = 1_000_000_000
NETWORK = "net"
SLOW = Delays(
    propagation=(S // 100, 2 * S), detection=(5 * S, 10 * S), recovery=(0, 5 * S), per_node={"c": (3 * S, 3 * S)}
)


class Table:
    """A listener: what a node would have programmed."""

    def __init__(self) -> None:
        self.records: dict[str, PeerRecord] = {}
        self.log: list[str] = []

    def peer_added(self, record: PeerRecord) -> None:
        assert record.endpoint_id not in self.records, record
        self.records[record.endpoint_id] = record
        self.log.append(f"+{record.endpoint_id}")

    def peer_removed(self, record: PeerRecord) -> None:
        assert self.records.pop(record.endpoint_id) == record
        self.log.append(f"-{record.endpoint_id}")


class World:
    """Nodes with a control plane, and a set of nodes that are cut off."""

    def __init__(self, delays: Delays, nodes: str = "abc") -> None:
        self.kernel = Kernel(seed=1)
        self.away: set[str] = set()
        self.plane = Replication(self.kernel, delays, lambda one, other: not {one, other} & self.away)
        self.tables: dict[str, Table] = {}
        self.live: dict[str, PeerRecord] = {}
        for node in nodes:
            self.plane.node_joined(node)

    def use(self, node: str) -> Table:
        table = self.tables[node] = Table()
        self.plane.join_network(node, NETWORK, table)
        return table

    def start(self, node: str, endpoint: str) -> None:
        number = len(endpoint) + ord(endpoint[-1])
        address = ipaddress.IPv4Interface(f"10.0.1.{number}/24")
        record = PeerRecord(
            endpoint, NETWORK, node, address, b"\x02B\x0a\x00\x01" + bytes((number,)), None, (endpoint,)
        )
        self.live[endpoint] = record
        self.plane.publish(record)

    def stop(self, endpoint: str) -> None:
        self.plane.withdraw(self.live.pop(endpoint))

    def cut(self, node: str) -> None:
        self.away.add(node)
        self.plane.reachability_changed()

    def repair(self, node: str) -> None:
        self.away.discard(node)
        self.plane.reachability_changed()

    def after(self, delay_ns: int) -> None:
        self.kernel.run(until=self.kernel.now + delay_ns)

    def expected(self, node: str) -> set[str]:
        return {key for key, record in self.live.items() if record.node != node}


def test_instant_updates_need_no_time() -> None:
    world = World(INSTANT)
    table = world.use("a")
    world.start("b", "e1")
    assert set(table.records) == {"e1"}
    world.stop("e1")
    assert table.log == ["+e1", "-e1"]


def test_a_node_is_not_told_its_own_records() -> None:
    world = World(INSTANT)
    table = world.use("a")
    world.start("a", "e1")
    assert not table.log


def test_a_node_that_begins_to_use_a_network_is_told_what_there_is() -> None:
    world = World(INSTANT)
    world.start("b", "e1")
    world.start("c", "e2")
    assert set(world.use("a").records) == {"e1", "e2"}


def test_a_node_without_the_network_is_told_nothing() -> None:
    world = World(INSTANT)
    table = world.use("a")
    world.plane.leave_network("a", NETWORK)
    world.start("b", "e1")
    assert not table.log
    assert world.plane.records("a", NETWORK) == []


def test_a_delayed_update_takes_as_long_as_its_receiver_says() -> None:
    world = World(SLOW)
    table = world.use("c")
    world.start("a", "e1")
    world.after(3 * S - 1)
    assert not table.log
    world.after(2)
    assert table.log == ["+e1"]


def test_an_update_that_overtakes_an_older_one_wins() -> None:
    world = World(Delays(propagation=(1, 10 * S)))
    table = world.use("a")
    for round_number in range(20):
        world.start("b", f"e{round_number}")
        world.stop(f"e{round_number}")
    world.after(20 * S)
    assert table.records == {}


def test_the_control_plane_does_not_keep_a_run_alive() -> None:
    world = World(SLOW)
    world.use("a")
    world.start("b", "e1")
    world.cut("b")
    world.kernel.run()
    assert world.kernel.now == 0


def test_entries_of_a_node_that_is_cut_off_go_5_to_10_s_later() -> None:
    world = World(SLOW)
    table = world.use("a")
    world.start("b", "e1")
    world.after(3 * S)
    world.cut("b")
    world.after(5 * S - 1)
    assert set(table.records) == {"e1"}
    world.after(5 * S + 1)
    assert table.records == {}


def test_entries_are_back_within_5_s_of_the_repair() -> None:
    world = World(SLOW)
    table = world.use("a")
    world.start("b", "e1")
    world.cut("b")
    world.after(20 * S)
    world.start("b", "e2")
    world.repair("b")
    world.after(5 * S)
    assert set(table.records) == {"e1", "e2"}


def test_a_short_interruption_removes_nothing_but_what_was_missed_is_caught_up() -> None:
    world = World(SLOW)
    table = world.use("a")
    world.start("b", "e1")
    world.after(3 * S)
    world.cut("b")
    world.start("b", "e2")
    world.after(S)
    world.repair("b")
    world.after(10 * S)
    assert table.log == ["+e1", "+e2"]


def test_nodes_that_meet_for_the_first_time_have_nothing_to_recover_from() -> None:
    world = World(SLOW, nodes="")
    world.away.add("b")
    for node in "ab":
        world.plane.node_joined(node)
    table = world.use("a")
    world.start("b", "e1")
    world.repair("b")
    assert table.log == ["+e1"]


def test_with_instant_a_cut_and_a_repair_show_at_once() -> None:
    world = World(INSTANT)
    table = world.use("a")
    world.start("b", "e1")
    world.cut("b")
    assert table.records == {}
    world.repair("b")
    assert set(table.records) == {"e1"}


def test_a_dropped_delete_leaves_a_stale_entry_and_only_one() -> None:
    world = World(INSTANT)
    table = world.use("a")
    for endpoint in ("e1", "e2"):
        world.start("b", endpoint)
    world.plane.drop_next("a", "delete")
    world.stop("e1")
    world.stop("e2")
    assert set(table.records) == {"e1"}


def test_a_dropped_create_is_not_a_dropped_delete() -> None:
    world = World(INSTANT)
    table = world.use("a")
    world.plane.drop_next("a", "create")
    world.start("b", "e1")
    world.start("b", "e2")
    assert table.log == ["+e2"]


def test_a_bulk_sync_brings_within_30_s_what_was_dropped() -> None:
    world = World(delayed())
    table = world.use("a")
    world.start("b", "e1")
    world.after(S)
    world.plane.drop_next("a", "delete")
    world.stop("e1")
    world.after(28 * S)
    assert set(table.records) == {"e1"}
    world.after(2 * S)
    assert table.records == {}


def test_what_can_be_dropped_is_a_create_or_a_delete_on_the_way_to_a_node() -> None:
    world = World(INSTANT)
    with pytest.raises(InvalidValue, match='expected "create" or "delete"'):
        world.plane.drop_next("a", "update")
    with pytest.raises(NotFound, match="node z not found"):
        world.plane.drop_next("z", "delete")


def test_the_records_of_a_node_that_leaves_go_and_come_back_with_it() -> None:
    world = World(INSTANT)
    table = world.use("a")
    world.start("b", "e1")
    world.plane.node_left("b")
    assert table.records == {}
    world.plane.node_joined("b")
    world.start("b", "e2")
    assert set(table.records) == {"e2"}


@pytest.mark.parametrize("value", [("1s", "10ms"), ("1s",), "1s", ("-1s", "1s")])
def test_a_propagation_delay_is_two_times_in_order(value: object) -> None:
    with pytest.raises(InvalidValue):
        delayed(value)  # type: ignore[arg-type]


ACTIONS = ("start", "stop", "cut", "repair", "use", "unuse", "leave", "wait")


def act(world: World, action: str, node: str, number: int) -> None:
    """Do one thing, if it makes sense at this moment."""
    here = [key for key, record in world.live.items() if record.node == node]
    doing: dict[str, Callable[[], object]] = {
        "start": lambda: f"{node}{number}" in world.live or world.start(node, f"{node}{number}"),
        "stop": lambda: world.stop(here[0]) if here else None,
        "cut": lambda: world.cut(node),
        "repair": lambda: world.repair(node),
        "use": lambda: node in world.tables or world.use(node),
        "unuse": lambda: world.tables.pop(node, None) and world.plane.leave_network(node, NETWORK),
        "leave": lambda: leave(world, node),
        "wait": lambda: world.after(number * S),
    }
    doing[action]()


def leave(world: World, node: str) -> None:
    """Let a node leave the swarm and join again at once, as an empty one."""
    world.live = {key: record for key, record in world.live.items() if record.node != node}
    world.tables.pop(node, None)
    world.plane.node_left(node)
    world.plane.node_joined(node)


@pytest.mark.parametrize("delays", [INSTANT, SLOW], ids=["instant", "delayed"])
@given(steps=st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from("abc"), st.integers(1, 9)), max_size=40))
def test_after_any_partitions_all_tables_equal_the_live_endpoints(
    delays: Delays, steps: list[tuple[str, str, int]]
) -> None:
    world = World(delays)
    for step in steps:
        act(world, *step)
    for node in "abc":
        world.repair(node)
    world.after(20 * S)
    for node, table in world.tables.items():
        assert set(table.records) == world.expected(node)
        assert {record.endpoint_id for record in world.plane.records(node, NETWORK)} == world.expected(node)


@given(steps=st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from("abc"), st.integers(1, 9)), max_size=40))
def test_nodes_that_are_cut_off_for_long_see_only_their_side(steps: list[tuple[str, str, int]]) -> None:
    world = World(SLOW)
    for step in steps:
        act(world, *step)
    world.after(20 * S)
    for node, table in world.tables.items():
        visible = {key for key in world.expected(node) if not {node, world.live[key].node} & world.away}
        assert set(table.records) == visible
