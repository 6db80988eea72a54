"""What a sender leaves to the hardware: checksums not made yet, and TCP segments too long for the wire.

Linux hands a network card one long segment and lets it cut it ("TCP segmentation offload"), and writes only the sum of
the pseudo header where the checksum will be ("CHECKSUM_PARTIAL"). Inside a host nobody cuts or sums anything, so that
is what captures on veth interfaces and bridges show (FACT 45).

A frame of this kind has an `Offload` as its `altered`. It is true, so everything that has a fast way for ordinary
frames leaves it alone, and whoever checks checksums asks whether `altered is True`.
"""

from __future__ import annotations

from struct import Struct

from emu.wire.checksum import checksum_sum, pseudo_header_sum
from emu.wire.frame import Frame
from emu.wire.tcp import CWR, FIN, PROTOCOL_TCP, PSH

ETHERNET_LENGTH = 14
PROTOCOL_UDP = 17
_HEADER_LENGTH = 20
_MASK_32 = 0xFFFFFFFF
_NOT_IN_THE_LAST = 0xFFFF ^ FIN ^ PSH
_pack_words = Struct("!HH").pack


class Offload:
    """What is left to do to a frame.

    segment_size: bytes of data in each segment that it is to be cut into; 0: it is short enough, only the checksum is
    missing. tunnel_bytes: what a tunnel has put before the frame whose checksum is missing; 0 outside of tunnels.
    """

    __slots__ = ("segment_size", "tunnel_bytes")

    def __init__(self, segment_size: int = 0, tunnel_bytes: int = 0) -> None:
        self.segment_size = segment_size
        self.tunnel_bytes = tunnel_bytes

    def __repr__(self) -> str:
        return f"<Offload of {self.segment_size} bytes behind {self.tunnel_bytes}>"


CHECKSUM_ONLY = Offload()
"""For a frame that is short enough."""


def must_be_cut(altered: bool | Offload) -> bool:
    """Tell whether a frame with this `altered` is too long for the wire on purpose: no MTU applies to it.

    Source: Linux is_skb_forwardable() and br_dev_queue_push_xmit() let such a packet pass whatever the MTU is.
    """
    return isinstance(altered, Offload) and altered.segment_size > 0


def must_verify(altered: bool | Offload, verify_all: bool) -> bool:
    """Tell whether a receiver must look at the checksum of a frame: never at one that has not been made yet.

    verify_all: it looks at those of sound frames, too.
    """
    return altered is True or (verify_all and altered is False)


def fits(packet: bytes, altered: bool | Offload, mtu: int) -> bool:
    """Tell whether an IPv4 packet that must be cut fits into an MTU, then (Linux's skb_gso_validate_network_len).

    False for a packet that is not to be cut.
    """
    if not isinstance(altered, Offload) or not altered.segment_size:
        return False
    start = altered.tunnel_bytes
    transport = start + (packet[start] & 15) * 4
    return transport + (packet[transport + 12] >> 4) * 4 + altered.segment_size <= mtu


def partial_checksum(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """Return what stands in the checksum field for now: the folded sum of the pseudo header, never 0.

    source, destination: 4-byte addresses. length: of the transport header and the data, before cutting.
    """
    return pseudo_header_sum(source, destination, protocol, length) % 65535 or 65535


def segment_count(data: bytes, offload: Offload) -> int:
    """Return how many frames a frame becomes."""
    if not offload.segment_size:
        return 1
    start = ETHERNET_LENGTH + offload.tunnel_bytes
    transport = start + (data[start] & 15) * 4
    size = start + (data[start + 2] << 8 | data[start + 3]) - transport - (data[transport + 12] >> 4) * 4
    return -(-size // offload.segment_size)


def finish(data: bytes, offload: Offload) -> list[bytes]:
    """Do what is left to do to a frame: return the frames that go onto the wire, all checksums in place.

    As hardware does it: each segment has the headers of the whole with its own lengths and checksums, IP
    identifications count up, FIN and PSH stand in the last segment only and CWR in the first (Linux's
    tcp_gso_segment() and inet_gso_segment()).
    """
    tunnel_bytes = offload.tunnel_bytes
    start = ETHERNET_LENGTH + tunnel_bytes
    packet = data[start : start + (data[start + 2] << 8 | data[start + 3])]
    header_length = (packet[0] & 15) * 4
    if packet[9] == PROTOCOL_TCP:
        packets = _tcp_segments(packet, header_length, offload.segment_size)
    else:
        packets = [_with_udp_checksum(packet, header_length)]
    before = data[:start]
    if not tunnel_bytes:
        return [before + piece for piece in packets]
    return [_in_tunnel(before, piece, index) for index, piece in enumerate(packets)]


def finished_frames(frame: Frame) -> list[Frame]:
    """Return the frames that hardware makes of a frame, all with its passport; a finished frame is returned itself."""
    altered = frame.altered
    if not isinstance(altered, Offload):
        return [frame]
    return [Frame(data, frame.packet_id) for data in finish(frame.data, altered)]


def _tcp_segments(packet: bytes, header_length: int, segment_size: int) -> list[bytes]:
    """Cut an IPv4 packet with a TCP segment; segment_size: 0 leaves it in one piece."""
    ip = packet[:header_length]
    payload_start = header_length + (packet[header_length + 12] >> 4) * 4
    tcp = packet[header_length:payload_start]
    size = len(packet) - payload_start
    step = segment_size or size or 1
    addresses = pseudo_header_sum(ip[12:16], ip[16:20], PROTOCOL_TCP, len(tcp))
    sequence = int.from_bytes(tcp[4:8], "big")
    offset_flags = tcp[12] << 8 | tcp[13]
    packets = []
    for index, offset in enumerate(range(0, size or 1, step)):
        payload = packet[payload_start + offset : payload_start + offset + step]
        flags = offset_flags
        if offset + step < size:
            flags &= _NOT_IN_THE_LAST
        if index:
            flags &= 0xFFFF ^ CWR
        head = tcp[:4] + ((sequence + offset) & _MASK_32).to_bytes(4, "big") + tcp[8:12] + flags.to_bytes(2, "big")
        head += tcp[14:16] + b"\0\0" + tcp[18:]
        total = checksum_sum(head) + checksum_sum(payload) + addresses + len(payload)
        head = head[:16] + (-total % 65535).to_bytes(2, "big") + head[18:]
        packets.append(_ip_header(ip, payload_start + len(payload), index) + head + payload)
    return packets


def _ip_header(header: bytes, total_length: int, index: int) -> bytes:
    """Return an IPv4 header for the piece with this number, its checksum made anew."""
    identification = (header[4] << 8 | header[5]) + index & 0xFFFF
    head = header[:2] + _pack_words(total_length, identification) + header[6:10] + b"\0\0" + header[12:]
    return head[:10] + (-checksum_sum(head) % 65535).to_bytes(2, "big") + head[12:]


def _with_udp_checksum(packet: bytes, header_length: int) -> bytes:
    """Return an IPv4 packet with the checksum of its UDP datagram made."""
    field = header_length + 6
    segment = packet[header_length:field] + b"\0\0" + packet[field + 2 :]
    total = checksum_sum(segment) + pseudo_header_sum(packet[12:16], packet[16:20], PROTOCOL_UDP, len(segment))
    return packet[:field] + (65535 - total % 65535).to_bytes(2, "big") + packet[field + 2 :]


# -- tunnels -----------------------------------------------------------------------------------------------------------


def _in_tunnel(before: bytes, packet: bytes, index: int) -> bytes:
    """Put a finished packet behind the headers of a tunnel over UDP; index: the number of the piece."""
    udp_start = ETHERNET_LENGTH + _HEADER_LENGTH
    udp_length = len(before) - udp_start + len(packet)
    ip = _ip_header(before[ETHERNET_LENGTH:udp_start], _HEADER_LENGTH + udp_length, index)
    head = before[udp_start : udp_start + 4] + udp_length.to_bytes(2, "big") + b"\0\0" + before[udp_start + 8 :]
    if before[udp_start + 6 : udp_start + 8] != b"\0\0":
        checksum = tunnel_checksum(ip[12:16], ip[16:20], head + packet, len(head))
        head = head[:6] + checksum.to_bytes(2, "big") + head[8:]
    return before[:ETHERNET_LENGTH] + ip + head + packet


def with_tunnel_checksum(
    source: bytes, destination: bytes, segment: bytes, packet_start: int, segment_size: int
) -> bytes:
    """Return a tunnel's UDP datagram with what Linux writes into its checksum field while the packet is unfinished.

    The sum of the pseudo header when it must be cut, otherwise the checksum that it will have (`tunnel_checksum`).
    """
    if segment_size:
        checksum = partial_checksum(source, destination, PROTOCOL_UDP, len(segment))
    else:
        checksum = tunnel_checksum(source, destination, segment, packet_start)
    return segment[:6] + checksum.to_bytes(2, "big") + segment[8:]


def tunnel_checksum(source: bytes, destination: bytes, segment: bytes, packet_start: int) -> int:
    """Return the checksum of a tunnel's UDP datagram as it will be when the packet in it is finished.

    No data is summed up (Linux's "local checksum offload"): a transport segment whose checksum is right adds nothing
    but the complement of its pseudo header. segment: the UDP header with zeros as checksum, and what follows.
    packet_start: where in it the packet begins that is in the tunnel.
    """
    header_length = (segment[packet_start] & 15) * 4
    transport = packet_start + header_length
    length = (segment[packet_start + 2] << 8 | segment[packet_start + 3]) - header_length
    protocol = segment[packet_start + 9]
    inner = segment[packet_start + 12 : packet_start + 16], segment[packet_start + 16 : packet_start + 20]
    total = checksum_sum(segment[:transport]) + 65535 * 4 - pseudo_header_sum(*inner, protocol, length)
    total += pseudo_header_sum(source, destination, PROTOCOL_UDP, len(segment))
    return 65535 - total % 65535
