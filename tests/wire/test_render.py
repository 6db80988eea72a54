"""One line per frame, in tcpdump's words: compared with what tcpdump printed for the same captures."""

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.wire import arp, icmp, udp
from emu.wire.ethernet import build_ethernet_header
from emu.wire.ipv4 import build_ipv4_header
from emu.wire.render import render

GOLDEN = Path(__file__).parent.parent / "golden" / "wire"
CAPTURES = sorted(path.stem for path in GOLDEN.glob("*.pcap"))
MAC_A, MAC_B = bytes.fromhex("0242ac110002"), bytes.fromhex("0242ac110003")
A, B = bytes.fromhex("ac110002"), bytes.fromhex("ac110003")


def read_pcap(path: Path) -> list[bytes]:
    """The frames of a capture; what its snap length cut off is filled up with zeros."""
    data = path.read_bytes()
    order = "<" if data[0] in (0xD4, 0x4D) else ">"
    frames, position = [], 24
    while position < len(data):
        _, _, captured, original = struct.unpack_from(order + "IIII", data, position)
        frames.append(data[position + 16 : position + 16 + captured] + bytes(original - captured))
        position += 16 + captured
    return frames


def without_what_tcpdump_does_not_print(line: str) -> str:
    return re.sub(r" \(frag \d+:\d+@\d+\+?\)$", "", line)


def without_what_render_leaves_out(line: str) -> str:
    """What tcpdump knows of DNS and ICMPv6."""
    line = re.sub(r"domain \[length (\d+) < 12\] \(invalid\)", r"UDP, length \1", line)
    return re.sub(r"ICMP6, .*, length", "ICMP6, length", line)


@pytest.mark.parametrize("link_header", [False, True], ids=["plain", "link-header"])
@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_reads_as_tcpdump_printed_it(name, link_header):
    text = (GOLDEN / f"{name}{'-e' if link_header else ''}.txt").read_text()
    expected = re.sub(r"(VXLAN, .*)\n", r"\1: ", text).splitlines()  # the inner frame is tcpdump's next line
    frames = read_pcap(GOLDEN / f"{name}.pcap")
    assert len(frames) == len(expected)
    for frame, line in zip(frames, expected, strict=True):
        rendered = render(frame, link_header=link_header)
        assert without_what_tcpdump_does_not_print(rendered) == without_what_render_leaves_out(line)


def ip(protocol: int, payload: bytes, **fields) -> bytes:
    header = build_ipv4_header(A, B, protocol, len(payload), **fields)
    return build_ethernet_header(MAC_B, MAC_A, 0x0800) + header + payload


def test_fragments_show_their_id_size_offset_and_whether_more_follow():
    datagram = udp.build_udp(A, B, 40000, 9, bytes(3000))
    first = ip(17, datagram[:1480], identification=5, more_fragments=True)
    middle = ip(17, datagram[1480:2960], identification=5, more_fragments=True, fragment_offset=1480)
    last = ip(17, datagram[2960:], identification=5, fragment_offset=2960)
    assert render(first) == "IP 172.17.0.2.40000 > 172.17.0.3.9: UDP, length 3000 (frag 5:1480@0+)"
    assert render(middle) == "IP 172.17.0.2 > 172.17.0.3: ip-proto-17 (frag 5:1480@1480+)"
    assert render(last) == "IP 172.17.0.2 > 172.17.0.3: ip-proto-17 (frag 5:48@2960)"


def test_the_usual_frames_read_as_people_know_them():
    echo = ip(1, icmp.build_echo_request(7, 1, bytes(56)))
    assert render(echo) == "IP 172.17.0.2 > 172.17.0.3: ICMP echo request, id 7, seq 1, length 64"
    assert render(arp.build_arp_request(MAC_A, A, B)) == "ARP, Request who-has 172.17.0.3 tell 172.17.0.2, length 28"
    assert render(arp.build_arp_reply(MAC_A, A, MAC_B, B), link_header=True) == (
        "02:42:ac:11:00:02 > 02:42:ac:11:00:03, ethertype ARP (0x0806), length 42: "
        "Reply 172.17.0.2 is-at 02:42:ac:11:00:02, length 28"
    )


def test_a_frame_in_vxlan_in_vxlan_is_told_once():
    header = bytes.fromhex("0800000000100100")
    inner = ip(17, udp.build_udp(A, B, 40000, 4789, header + ip(6, bytes(20))))
    outer = ip(17, udp.build_udp(A, B, 50000, 4789, header + inner))
    vxlan = "172.17.0.3.4789: VXLAN, flags [I] (0x08), vni 4097"
    assert render(outer) == f"IP 172.17.0.2.50000 > {vxlan}: IP 172.17.0.2.40000 > {vxlan}"


@pytest.mark.parametrize(
    "payload", [b"\x00\xff", b"GET /\xff HTTP/1.1\r\n", b"GET /\x07 HTTP/1.1\r\n", b"220 smtp\r\n"]
)
def test_on_ports_of_the_web_what_is_no_readable_first_line_is_only_called_http(payload):
    segment = struct.pack("!HHIIBBHHH", 40000, 80, 1, 1, 0x50, 0x18, 500, 0, 0) + payload
    assert render(ip(6, segment)).endswith(f"length {len(payload)}: HTTP")


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        (0x88B5, bytes(46), "02:42:ac:11:00:02 > 02:42:ac:11:00:03, ethertype Unknown (0x88b5), length 60"),
        (0x8100, bytes(46), "02:42:ac:11:00:02 > 02:42:ac:11:00:03, ethertype 802.1Q (0x8100), length 60"),
        (0x0026, bytes(46), "02:42:ac:11:00:02 > 02:42:ac:11:00:03, 802.3, length 38"),
        (0x0800, b"\x65" + bytes(39), "IP wrong version 6 (invalid)"),
        (0x0800, bytes(5), "IP [|ip]"),
        (0x0806, bytes(27), "ARP, [|arp]"),
        (0x0806, bytes(28), "ARP, not for IPv4 over Ethernet"),
        (0x86DD, bytes(39), "IP6 [|ip6]"),
        (0x86DD, bytes(40), "IP6 version error: 0 != 6"),
        (
            0x86DD,
            bytes.fromhex("6000000000083aff fe80000000000000000000fffe000001 ff020000000000000000000000000002")
            + bytes(8),
            "IP6 fe80::ff:fe00:1 > ff02::2: ICMP6, length 8",
        ),
    ],
)
def test_what_is_not_understood_is_at_least_named(kind, payload, expected):
    assert render(build_ethernet_header(MAC_B, MAC_A, kind) + payload) == expected


def test_a_frame_without_even_an_ethernet_header_is_named_too():
    assert render(b"") == render(bytes(13)) == render(bytes(13), link_header=True) == "[|ether]"


def test_no_cut_of_any_golden_frame_raises_or_prints_a_second_line():
    for name in ("crafted", "tcp-small", "fragmentation-needed"):
        for frame in read_pcap(GOLDEN / f"{name}.pcap"):
            for cut in range(min(len(frame), 120)):
                assert "\n" not in render(frame[:cut])


@given(
    st.sampled_from((b"\x08\x00\x45\x00", b"\x08\x00\x4f\x00", b"\x08\x06", b"\x86\xdd\x60", b"")),
    st.binary(max_size=90),
)
def test_random_bytes_never_raise(start, data):
    assert render(bytes(12) + start + data)
    assert render(bytes(12) + start + data, link_header=True)


@given(st.sampled_from((67, 68, 80, 4789)), st.sampled_from((6, 17)), st.binary(max_size=80))
def test_random_messages_of_known_programs_never_raise(port, protocol, payload):
    if protocol == 17:
        datagram = udp.build_udp(A, B, 40000, port, payload)
    else:
        datagram = struct.pack("!HHIIBBHHH", 40000, port, 1, 1, 0x50, 0x18, 500, 0, 0) + payload
    line = render(ip(protocol, datagram))
    assert line.startswith("IP 172.17.0.2.40000 > 172.17.0.3.")
    assert "\n" not in line


@given(st.integers(0, 255), st.binary(max_size=60))
def test_random_payloads_of_every_protocol_never_raise(protocol, payload):
    assert render(ip(protocol, payload)).startswith("IP 172.17.0.2")
