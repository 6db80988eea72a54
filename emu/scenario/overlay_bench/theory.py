"""Theory: how many bytes a datagram or segment takes on the wire, and which part of them is payload.

On an Ethernet wire every frame also takes 24 bytes that no capture shows: preamble and start delimiter 8, frame check
sequence 4, gap 12; and a frame takes at least 60 + 24. A bridge on one host has no wire; it is treated as if its
frames went over one, so that the numbers can be compared.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from emu.device.ethernet import FRAMING_BYTES, MINIMUM_FRAME_BYTES

Transport = Literal["udp", "tcp"]

ETHERNET_BYTES = 14
IPV4_BYTES = 20
TRANSPORT_BYTES: dict[Transport, int] = {"udp": 8, "tcp": 32}
"""UDP's header; TCP's with the timestamp option, as Linux sends it."""
VXLAN_BYTES = 50
"""Outer IPv4 20, UDP 8, VXLAN 8, and the inner Ethernet header 14."""
ESP_BYTES = 26
"""ESP in transport mode with AES-GCM as Docker sets it up: SPI and sequence 8, IV 8, trailer 2, ICV 8, and padding."""
ESP_ALIGNMENT = 4
DOCKER_MTU = 1500
"""What Docker takes the underlay's MTU for when nobody says anything else."""

TUNNEL_BYTES = {"underlay": 0, "bridge": 0, "overlay": VXLAN_BYTES, "encrypted": VXLAN_BYTES + ESP_BYTES}
"""Case -> what the tunnel takes of the underlay's MTU."""


def network_mtu(case: str, underlay_mtu: int) -> int:
    """The largest inner IP packet, in bytes, that goes over the underlay in one piece."""
    mtu = underlay_mtu - TUNNEL_BYTES[case]
    return mtu // ESP_ALIGNMENT * ESP_ALIGNMENT if case == "encrypted" else mtu


def frame_bytes(case: str, packet_bytes: int) -> int:
    """The frame, as a capture of the underlay shows it, in which an inner IP packet travels."""
    size = ETHERNET_BYTES + packet_bytes + TUNNEL_BYTES[case]
    if case == "encrypted":
        encrypted = packet_bytes + VXLAN_BYTES - IPV4_BYTES + 2  # the UDP datagram and ESP's trailer
        size += -encrypted % ESP_ALIGNMENT
    return size


def on_wire_bytes(frame_size: int) -> int:
    """What a frame takes on an Ethernet wire: at least 60 bytes, and 24 of preamble, check sequence and gap."""
    return max(frame_size, MINIMUM_FRAME_BYTES) + FRAMING_BYTES


def fragments(packet_bytes: int, mtu: int) -> list[int]:
    """The sizes of the IPv4 packets that an IPv4 packet becomes: itself, or its fragments (RFC 791, section 3.2)."""
    if packet_bytes <= mtu:
        return [packet_bytes]
    rest, piece = packet_bytes - IPV4_BYTES, (mtu - IPV4_BYTES) // 8 * 8
    sizes = []
    while rest > mtu - IPV4_BYTES:
        sizes.append(IPV4_BYTES + piece)
        rest -= piece
    return [*sizes, IPV4_BYTES + rest]


def datagram_frames(case: str, underlay_mtu: int, payload_bytes: int) -> list[int]:
    """The frames on the underlay, in bytes as captured, that carry a UDP datagram of so many bytes of payload.

    A datagram that fits the container's MTU has DF set, so its sender learns the path's MTU and makes the fragments;
    a longer one is cut for the container's MTU, and if the tunnel's packets are then longer than the underlay's MTU
    (Docker counts on 1500 at least), the host cuts these once more.
    """
    packet = IPV4_BYTES + TRANSPORT_BYTES["udp"] + payload_bytes
    tunnel = TUNNEL_BYTES[case]
    if not tunnel:
        return [ETHERNET_BYTES + size for size in fragments(packet, underlay_mtu)]
    container_mtu = network_mtu(case, max(underlay_mtu, DOCKER_MTU))
    inner = fragments(packet, network_mtu(case, underlay_mtu) if packet <= container_mtu else container_mtu)
    outer = [frame_bytes(case, size) - ETHERNET_BYTES for size in inner]
    return [ETHERNET_BYTES + piece for size in outer for piece in fragments(size, underlay_mtu)]


def datagram_efficiency(case: str, underlay_mtu: int, payload_bytes: int) -> Fraction:
    """Payload of a UDP datagram divided by what its frames take on the wire."""
    return Fraction(payload_bytes, sum(map(on_wire_bytes, datagram_frames(case, underlay_mtu, payload_bytes))))


def full_size_efficiency(case: str, underlay_mtu: int = 1500, transport: Transport = "tcp") -> Fraction:
    """Payload divided by bytes on the wire for packets as large as they can be.

    At an underlay MTU of 1500 and with TCP: 1448/1538 on underlay and bridge, 1398/1538 on the overlay, 1372/1538 on
    an encrypted one.
    """
    packet = network_mtu(case, underlay_mtu)
    payload = packet - IPV4_BYTES - TRANSPORT_BYTES[transport]
    return Fraction(payload, on_wire_bytes(frame_bytes(case, packet)))
