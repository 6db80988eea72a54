"""Routes: the longest prefix wins, then the smallest metric; the text is that of `ip route`."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.kernel.errors import Conflict, InvalidValue, NotFound
from emu.stack.route import RouteTable, parse_prefix
from emu.wire.address import ipv4_to_bytes
from tests.stack.world import two_hosts


def test_the_text_is_that_of_ip_route() -> None:
    _, h1, _ = two_hosts()
    h1.routes.add("default", via="10.9.0.2")
    h1.routes.add("10.50.0.0/16", via="10.9.0.2", metric=100)
    h1.routes.add("10.77.0.0/24", kind="unreachable")
    h1.routes.add("10.9.9.9", device=h1.device("eth0"), source="10.9.0.1")
    assert h1.routes.text().splitlines() == [
        "default via 10.9.0.2 dev eth0 ",
        "10.9.0.0/24 dev eth0 proto kernel scope link src 10.9.0.1 ",
        "10.9.9.9 dev eth0 scope link src 10.9.0.1 ",
        "10.50.0.0/16 via 10.9.0.2 dev eth0 metric 100 ",
        "unreachable 10.77.0.0/24 ",
    ]


def test_the_longest_prefix_wins_and_then_the_smallest_metric() -> None:
    _, h1, _ = two_hosts()
    h1.routes.add("10.50.0.0/16", via="10.9.0.2", metric=100)
    better = h1.routes.add("10.50.0.0/16", via="10.9.0.3", metric=10)
    longer = h1.routes.add("10.50.1.0/24", via="10.9.0.4", metric=500)
    assert h1.routes.lookup(ipv4_to_bytes("10.50.2.1")) is better
    assert h1.routes.lookup(ipv4_to_bytes("10.50.1.1")) is longer
    assert h1.routes.lookup(ipv4_to_bytes("10.51.0.1")) is None


def test_an_answer_that_was_remembered_is_forgotten_when_routes_change() -> None:
    _, h1, _ = two_hosts()
    target = ipv4_to_bytes("10.50.2.1")
    generation = h1.generation
    assert h1.routes.lookup(target) is None
    route = h1.routes.add("10.50.0.0/16", via="10.9.0.2")
    assert h1.routes.lookup(target) is route
    assert h1.generation > generation
    h1.routes.remove("10.50.0.0/16")
    assert h1.routes.lookup(target) is None


def test_mistakes_are_refused_in_one_line_and_leave_nothing_behind() -> None:
    _, h1, _ = two_hosts()
    before = h1.routes.text()
    with pytest.raises(InvalidValue, match="is not on a connected network"):
        h1.routes.add("default", via="10.8.0.1")
    with pytest.raises(InvalidValue, match=r"it should be 10\.0\.0\.0/8"):
        h1.routes.add("10.1.0.0/8", via="10.9.0.2")
    with pytest.raises(InvalidValue, match="a device or a next hop is needed"):
        h1.routes.add("10.0.0.0/8")
    with pytest.raises(InvalidValue, match="expected one of unicast"):
        h1.routes.add("10.0.0.0/8", kind="throw")
    with pytest.raises(InvalidValue, match="neither a device nor a next hop"):
        h1.routes.add("10.0.0.0/8", kind="blackhole", via="10.9.0.2")
    with pytest.raises(NotFound):
        h1.routes.remove("10.0.0.0/8")
    h1.routes.add("10.0.0.0/8", via="10.9.0.2")
    with pytest.raises(Conflict, match="exists already"):
        h1.routes.add("10.0.0.0/8", via="10.9.0.3")
    h1.routes.remove("10.0.0.0/8", via="10.9.0.2")
    assert h1.routes.text() == before


def test_connected_routes_come_and_go_with_the_device_and_its_addresses() -> None:
    _, h1, _ = two_hosts()
    eth0 = h1.device("eth0")
    h1.routes.add("default", via="10.9.0.2")
    eth0.set_down()
    assert h1.routes.text() == ""
    eth0.set_up()
    assert h1.routes.text() == "10.9.0.0/24 dev eth0 proto kernel scope link src 10.9.0.1 \n"
    h1.add_address(eth0, "10.9.0.9/24")
    h1.remove_address(eth0, "10.9.0.1/24")
    assert h1.routes.text() == "10.9.0.0/24 dev eth0 proto kernel scope link src 10.9.0.9 \n"
    h1.remove_address(eth0, "10.9.0.9/24")
    assert h1.routes.text() == ""


prefixes = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32))


@given(st.lists(prefixes, max_size=12, unique=True), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8))
def test_lookup_agrees_with_a_search_through_all_prefixes(wanted: list[tuple[int, int]], targets: list[int]) -> None:
    table = RouteTable(lambda: None)
    networks = {ipaddress.ip_network((value, length), strict=False) for value, length in wanted}
    for network in sorted(networks):
        table.add(str(network), kind="blackhole")
    for target in targets:
        address = ipaddress.ip_address(target)
        best = max((network for network in networks if address in network), key=lambda n: n.prefixlen, default=None)
        found = table.lookup(target.to_bytes(4, "big"))
        expected = None if best is None else (best.network_address.packed, best.prefixlen)
        assert (None if found is None else (found.network, found.prefix_length)) == expected


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "10.0.0.0/", "nonsense", "10.0.0.0/8/8"]
)
def test_bad_prefixes_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_prefix(text)
