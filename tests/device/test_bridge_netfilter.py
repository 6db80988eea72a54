"""With bridge-nf-call-iptables on, bridged frames pass the hooks as Linux's pass netfilter (FACTS 29 and 31)."""

from __future__ import annotations

import pytest

from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from tests.device.lan import BRIDGE_MAC, Lan, mac


def ip_frame(destination: bytes, source: bytes, size: int = 100, fragment_field: int = 0) -> bytes:
    """Return a frame with an IPv4 header of which only length and fragment field matter here."""
    header = b"\x45\x00" + (size - 14).to_bytes(2, "big") + b"\x00\x01" + fragment_field.to_bytes(2, "big")
    return (destination + source + b"\x08\x00" + header).ljust(size, b"\x00")


class Hooks:
    """Records what it is asked; reassembles two fragments into one; can forbid or cut."""

    def __init__(self, depends_on_ports_only: bool) -> None:
        self.verdict_depends_on_ports_only = depends_on_ports_only
        self.forwards_all = False
        self.allow = True
        self.asked: list[tuple[str, str]] = []
        self.pre_routed: list[str] = []
        self.post_routed: list[tuple[int, str]] = []
        self.held: Frame | None = None
        self.hold = True
        self.admits = True
        self.admitted: list[str] = []

    def pre_routing(self, frame, port):
        self.pre_routed.append(port.device.name)
        if not self.hold:
            return frame
        if self.held is None:
            self.held = frame
            return None
        whole, self.held = Frame(self.held.data + frame.data[34:], frame.packet_id), None
        return whole

    def admit(self, frame, port):
        self.admitted.append(port.device.name)
        return self.admits

    def forward(self, frame, in_port, out_port):
        self.asked.append((in_port.device.name, out_port.device.name))
        return self.allow

    def post_routing(self, frame, out_port):
        self.post_routed.append((len(frame.data), out_port.device.name))
        return [Frame(frame.data[:1000], frame.packet_id), Frame(frame.data[:500], frame.packet_id)]


def filtered_lan(depends_on_ports_only: bool = True) -> tuple[Lan, Hooks]:
    lan = Lan(3)
    hooks = Hooks(depends_on_ports_only)
    lan.introduce()
    lan.bridge.set_netfilter(hooks)
    return lan, hooks


def test_a_verdict_by_ports_is_asked_for_once_per_pair_of_addresses():
    lan, hooks = filtered_lan()
    for _ in range(5):
        lan[1].send(ip_frame(mac(2), mac(1)))
        lan.run()
    assert len(lan[2].took()) == 5
    assert hooks.asked == [("p1", "p2")]


def test_any_other_verdict_is_asked_for_every_frame_also_on_the_fast_path():
    lan, hooks = filtered_lan(depends_on_ports_only=False)
    for allow in (True, True, False, True, False):
        hooks.allow = allow
        lan[1].send(ip_frame(mac(2), mac(1)))
        lan.run()
    assert len(lan[2].took()) == 3
    assert hooks.asked == [("p1", "p2")] * 5


def test_a_changed_rule_takes_effect_when_the_cache_is_flushed():
    lan, hooks = filtered_lan()
    lan[1].send(ip_frame(mac(2), mac(1)))
    lan.run()
    assert lan.listeners() == {2}
    hooks.allow = False
    lan.bridge.flush_cache()
    lan[1].send(ip_frame(mac(2), mac(1)))
    lan.run()
    assert lan.listeners() == set()


def test_a_forbidden_pair_stays_forbidden_and_is_learned_all_the_same():
    lan, hooks = filtered_lan()
    hooks.allow = False
    lan[1].send(ip_frame(mac(2), mac(0x31)))
    lan.run()
    lan[1].send(ip_frame(mac(2), mac(0x31)))
    lan.run()
    assert lan.listeners() == set()
    assert "02:00:00:00:00:31 dev p1" in lan.bridge.fdb.text()


def test_flooding_asks_nothing_when_all_may_pass():
    lan, hooks = filtered_lan()
    hooks.forwards_all = True
    lan[1].broadcast()
    lan.run()
    assert hooks.asked == []
    assert lan.listeners() == {2, 3}


def test_flooding_asks_for_every_egress_port():
    lan, hooks = filtered_lan()
    lan[1].broadcast()
    lan.run()
    assert hooks.asked == [("p1", "p3"), ("p1", "p2")]
    assert lan.listeners() == {2, 3}


def test_the_host_itself_is_not_asked_about_by_the_forward_hook():
    lan, hooks = filtered_lan()
    hooks.allow = False
    lan[1].send(ip_frame(BRIDGE_MAC, mac(1)))
    lan.bridge.transmit(Frame(ip_frame(mac(2), BRIDGE_MAC), 1))
    lan.run()
    assert hooks.asked == []
    assert len(lan.local) == 1
    assert lan.listeners() == {2}


@pytest.mark.parametrize("depends_on_ports_only", [True, False])
def test_fragments_are_reassembled_before_learning_and_shown_once_on_the_bridge(depends_on_ports_only):
    lan, hooks = filtered_lan(depends_on_ports_only)
    lan[1].send(ip_frame(mac(2), mac(1)))  # fills the fast path, which fragments must not take
    lan.run()
    lan[2].took()
    sizes = []
    lan.bridge.add_tap(lambda now_ns, frame, direction: sizes.append(len(frame.data)))
    lan[1].send(ip_frame(mac(2), mac(0x32), 1514, 0x2000))
    lan.run()
    assert "02:00:00:00:00:32" not in lan.bridge.fdb.text()
    lan[1].send(ip_frame(mac(2), mac(0x32), 534, 185))
    lan.run()
    assert "02:00:00:00:00:32 dev p1" in lan.bridge.fdb.text()
    assert sizes == [1514 + 500]
    assert hooks.post_routed == [(2014, "p2")]
    assert [len(data) for data in lan[2].took()] == [1000, 500]
    assert hooks.pre_routed == ["p1", "p1"]


def test_a_fragment_passed_on_as_it_is_counts_as_any_frame():
    lan, hooks = filtered_lan()
    hooks.hold = False
    lan[1].send(ip_frame(mac(2), mac(1), 1514, 0x2000))
    lan.run()
    assert hooks.post_routed == []
    assert len(lan[2].took()) == 1


def test_frames_longer_than_the_egress_mtu_pass_the_last_hook_also_on_the_fast_path():
    lan, hooks = filtered_lan()
    lan.host_ends[2].set_mtu(1000)
    for size in (1014, 1014, 1015, 1018, 1015):
        lan[1].send(ip_frame(mac(2), mac(1), size))
        lan.run()
    assert hooks.post_routed == [(1015, "p2"), (1018, "p2"), (1015, "p2")]


def test_without_the_hooks_long_frames_go_by_the_port_mtu_alone():
    lan, hooks = filtered_lan()
    lan.bridge.set_netfilter(None)
    lan.host_ends[2].set_mtu(1000)
    for size in (1018, 1019):
        lan[1].send(ip_frame(mac(2), mac(1), size))
        lan.run()
    assert [len(data) for data in lan[2].took()] == [1018]
    assert lan.drops == [(DropReason.BRIDGE_PORT_MTU, "p2")]
    assert hooks.asked == []


def test_arp_and_short_frames_are_not_taken_for_fragments():
    lan, hooks = filtered_lan()
    lan[1].send(mac(2) + mac(1) + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01".ljust(28, b"\x00"))
    lan[1].send(mac(2) + mac(1) + b"\x88\xb5")
    lan.run()
    assert hooks.pre_routed == []
    assert len(lan[2].took()) == 2


def test_a_packet_that_is_not_admitted_is_seen_by_nobody_and_not_learned():
    lan, hooks = filtered_lan()
    hooks.admits = False
    seen = []
    lan.bridge.add_tap(lambda now_ns, frame, direction: seen.append(frame.data))
    lan[1].send(ip_frame(BRIDGE_MAC, mac(0x31)))
    lan.run()
    assert hooks.admitted == ["p1"]
    assert (seen, lan.local, lan.listeners()) == ([], [], set())
    assert lan.bridge.fdb.lookup(mac(0x31)) is None
