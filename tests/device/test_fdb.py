"""The forwarding database prints like `bridge fdb`, and no sequence of events makes it differ from a simple model."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from emu.device import VethDevice, create_veth
from emu.wire.address import BROADCAST_MAC
from emu.wire.frame import Frame
from tests.device.lan import Lan, data_to, mac

AGEING_NS = 300 * 10**9


def test_it_prints_like_bridge_fdb_show():
    lan = Lan(2)
    lan.introduce(2)
    assert lan.bridge.fdb.text().splitlines() == [
        "02:00:00:00:00:fe dev br0 master br0 permanent",
        "02:00:00:00:00:81 dev p1 master br0 permanent",
        "02:00:00:00:00:82 dev p2 master br0 permanent",
        "02:00:00:00:00:02 dev p2 master br0 ",
    ]


def test_a_local_address_is_not_learned_elsewhere():
    lan = Lan(2)
    lan[1].send(data_to(BROADCAST_MAC, lan.host_ends[2].mac))
    lan.run()
    assert "02:00:00:00:00:82 dev p2 master br0 permanent" in lan.bridge.fdb.text()


def test_a_learned_address_that_becomes_local_is_local():
    lan = Lan(2)
    lan[1].send(data_to(BROADCAST_MAC, mac(0x55)))
    lan.run()
    lan.host_ends[2].set_mac(mac(0x55))
    assert "02:00:00:00:00:55 dev p2 master br0 permanent" in lan.bridge.fdb.text()
    assert "02:00:00:00:00:82" not in lan.bridge.fdb.text()


def test_an_address_shared_by_two_ports_stays_local_until_both_are_gone():
    lan = Lan(2)
    lan.host_ends[2].set_mac(lan.host_ends[1].mac)
    lan.bridge.remove_port(lan.host_ends[1])
    assert "02:00:00:00:00:81 dev p2 master br0 permanent" in lan.bridge.fdb.text()
    lan.bridge.remove_port(lan.host_ends[2])
    assert "02:00:00:00:00:81" not in lan.bridge.fdb.text()


PORTS = (1, 2, 3)
STATIONS = (0x21, 0x22, 0x23, 0x24)


class BridgeAgainstModel(RuleBasedStateMachine):
    """Drives a bridge at random and says for every frame where a dictionary would have sent it."""

    def __init__(self) -> None:
        super().__init__()
        self.lan = Lan(0)
        self.where: dict[int, tuple[int, int]] = {}  # station -> (port, last heard)
        self.ends: dict[int, tuple[VethDevice, VethDevice]] = {}
        self.received: list[int] = []
        self.hairpin: set[int] = set()
        self.up: set[int] = set()
        self.ageing_ns = AGEING_NS
        for port in PORTS:
            self._add(port)

    def _add(self, number: int) -> None:
        end, port = create_veth(self.lan.kernel, f"h{number}", mac(number), f"p{number}", mac(0x80 + number))
        end.set_up()
        port.set_up()
        end.upper = lambda frame: self.received.append(number)
        self.lan.bridge.add_port(port)
        self.ends[number] = (end, port)
        self.up.add(number)
        self.hairpin.discard(number)

    def _forget(self, number: int) -> None:
        self.where = {station: (port, heard) for station, (port, heard) in self.where.items() if port != number}

    @rule(port=st.sampled_from(PORTS), source=st.sampled_from(STATIONS), destination=st.sampled_from(STATIONS))
    def send(self, port: int, source: int, destination: int) -> None:
        now = self.lan.kernel.now
        self.ends[port][0].transmit(Frame(data_to(mac(destination), mac(source), text=bytes(8)), 1))
        self.lan.wait(1)
        expected: set[int] = set()
        if port in self.up:
            self.where[source] = (port, now)
            expected = {other for other in self.up if other != port or port in self.hairpin}
            known = self.where.get(destination)
            if known is not None and now - known[1] < self.ageing_ns:
                expected &= {known[0]}
        assert sorted(self.received) == sorted(expected)
        self.received.clear()

    @rule(seconds=st.sampled_from((1, 100, 150, 299, 300)))
    def let_time_pass(self, seconds: int) -> None:
        self.lan.wait(seconds * 10**9)

    @rule(seconds=st.sampled_from((5, 300)))
    def set_ageing(self, seconds: int) -> None:
        for ageing_ns in (self.ageing_ns, seconds * 10**9):
            self.where = {
                station: (port, heard)
                for station, (port, heard) in self.where.items()
                if self.lan.kernel.now - heard < ageing_ns
            }
        self.ageing_ns = seconds * 10**9
        self.lan.bridge.set_ageing(self.ageing_ns)

    @rule(port=st.sampled_from(PORTS), host_side=st.booleans())
    def take_down(self, port: int, host_side: bool) -> None:
        self.ends[port][host_side].set_down()
        self.up.discard(port)
        self._forget(port)

    @rule(port=st.sampled_from(PORTS))
    def bring_up(self, port: int) -> None:
        for end in self.ends[port]:
            end.set_up()
        self.up.add(port)

    @rule(port=st.sampled_from(PORTS), on=st.booleans())
    def switch_hairpin(self, port: int, on: bool) -> None:
        self.lan.bridge.port(self.ends[port][1]).set_hairpin(on)
        (self.hairpin.add if on else self.hairpin.discard)(port)

    @rule(port=st.sampled_from(PORTS))
    def replace(self, port: int) -> None:
        self.ends[port][0].delete()
        self.up.discard(port)
        self._forget(port)
        self._add(port)

    @rule()
    def look_into_the_database(self) -> None:
        """A rule, not an invariant: looking removes what is too old, and forwarding must not rely on that."""
        learned = {entry.mac[5]: entry.port for entry in self.lan.bridge.fdb.entries() if not entry.is_local}
        now = self.lan.kernel.now
        live = {station: port for station, (port, heard) in self.where.items() if now - heard < self.ageing_ns}
        assert {station: port.device for station, port in learned.items()} == {
            station: self.ends[port][1] for station, port in live.items()
        }


class PassingHooks:
    """Netfilter hooks that let everything pass."""

    verdict_depends_on_ports_only = True
    forwards_all = True

    def pre_routing(self, frame, port):
        return frame

    def admit(self, frame, port):
        return True

    def forward(self, frame, in_port, out_port):
        return True

    def post_routing(self, frame, out_port):
        return [frame]


class FilteredBridgeAgainstModel(BridgeAgainstModel):
    """The same with netfilter on, which has a fast path of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.lan.bridge.set_netfilter(PassingHooks())


BridgeAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBridgeAgainstModel = BridgeAgainstModel.TestCase
FilteredBridgeAgainstModel.TestCase.settings = BridgeAgainstModel.TestCase.settings
TestFilteredBridgeAgainstModel = FilteredBridgeAgainstModel.TestCase
