"""The emulated bridge does with recorded frames what Linux did: the captures g1, g2 and g4, replayed.

On the recorded machine three hosts h1, h2, h3 sat at ports p1, p2, p3 of a bridge. Every frame that one of them (or
the bridge itself) sent is sent again at its recorded time; what then passes each host's interface must be what was
captured there, byte for byte and in the same order.
"""

from __future__ import annotations

from pathlib import Path

from emu.wire.frame import Frame
from tests.device.lan import BRIDGE_MAC, Lan, data_to, mac
from tests.helpers.pcap_reader import read_pcap

RECORDINGS = Path(__file__).parent.parent / "golden" / "linux"

H1_SENT_AS = {bytes.fromhex("030000000009"), bytes(6)}
"""The invalid sources that h1 sent with, besides its own."""


def recorded(name: str) -> list[tuple[int, bytes]]:
    """Return what was captured at one host."""
    return read_pcap(RECORDINGS / f"{name}.pcap")


def replay(lan: Lan, sent: list[tuple[int, int, bytes]]) -> dict[int, list[bytes]]:
    """Send frames, given as (time, station or 0 for the bridge itself, bytes); return what passed each station."""
    seen: dict[int, list[bytes]] = {number: [] for number in lan.stations}
    for number, station in lan.stations.items():
        station.device.add_tap(lambda now_ns, frame, direction, number=number: seen[number].append(frame.data))
    start = sent[0][0] - 1000 - lan.kernel.now
    for time_ns, number, data in sorted(sent):
        device = lan.stations[number].device if number else lan.bridge
        lan.kernel.call_at(time_ns - start, device.transmit, Frame(data, lan.kernel.next_packet_id()))
    lan.run()
    return seen


def test_learning_flooding_reserved_groups_and_invalid_sources_g1():
    captured = {number: recorded(f"g1-learn-flood-h{number}") for number in (1, 2, 3)}
    sent = []
    for time_ns, data in captured[1]:
        source = data[6:12]
        if source == BRIDGE_MAC:
            sent.append((time_ns, 0, data))  # the bridge's own IGMP report
        elif source == mac(1) or source in H1_SENT_AS:
            sent.append((time_ns, 1, data))
    sent += [(time_ns, 2, data) for time_ns, data in captured[2] if data[6:12] == mac(2)]
    assert len(sent) == 18
    lan = Lan(3)
    seen = replay(lan, sent)
    for number in (1, 2, 3):
        assert seen[number] == [data for _, data in captured[number]], f"at h{number}"


def test_a_mac_move_takes_effect_at_once_g2():
    captured = {number: recorded(f"g2-macmove-h{number}") for number in (1, 2, 3)}
    lan = Lan(3)
    lan.introduce(2)
    (first_ns, from_h1) = captured[1][0]
    (second_ns, from_h3) = captured[3][0]
    (third_ns, to_aa) = captured[2][2]
    seen = replay(lan, [(first_ns, 1, from_h1), (second_ns, 3, from_h3), (third_ns, 2, to_aa)])
    for number in (1, 2, 3):
        assert seen[number] == [data for _, data in captured[number]], f"at h{number}"


def test_an_aged_address_is_flooded_again_g4():
    at_h1, at_h3 = recorded("g4-ageing-h1"), recorded("g4-ageing-h3")
    lan = Lan(3)
    lan.introduce(1)
    lan.bridge.set_ageing("5s")
    (announced_ns, announcement), (sent_ns, later) = at_h1
    seen = replay(lan, [(announced_ns, 2, announcement), (sent_ns, 1, later)])
    assert seen[1] == [announcement, later]
    assert seen[3] == [data for _, data in at_h3]


def test_the_fdb_during_g4_as_the_log_shows_it():
    lan = Lan(3)
    lan.introduce(1)
    lan.bridge.set_ageing("5s")
    lan[2].send(data_to(mac(1), mac(2)))
    for second in range(10):
        lan.wait(10**9)
        present = "02:00:00:00:00:02 dev p2 master br0 " in lan.bridge.fdb.text()
        assert present == (second + 1 < 5)  # Linux shows it one second longer, as "stale"
