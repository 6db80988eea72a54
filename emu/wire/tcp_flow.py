"""The stamper of one TCP flow: the hot path of bulk TCP, one pack of all fields and one concatenation per segment.

Everything that stays the same in a connection is laid out and summed up once (RFC 1071 section 2: sums of parts add
up, and a 32-bit field counts in one's complement as its two halves do).
"""

from __future__ import annotations

from struct import Struct

from emu.wire.checksum import checksum_sum
from emu.wire.ipv4 import FLAG_DONT_FRAGMENT
from emu.wire.tcp import PROTOCOL_TCP
from emu.wire.tcp_options import NOP_NOP_TIMESTAMPS

_pack_stamped = Struct("!16sHHIH12sIIHHHHIII").pack
_pack_header = Struct("!16sHHIH12sIIHHHH").pack
_from_bytes = int.from_bytes
_STAMPED_OFFSET = 8 << 12
"""Header length of a segment that has timestamps and no other option, in the place where it stands."""


class TcpFlowTemplate:
    """Makes the frames of one direction of a connection.

    destination_mac, source_mac: 6 bytes. source, destination: 4-byte IPv4 addresses. ttl: hops. tos: the DS byte.
    """

    __slots__ = ("_fragment_ttl_protocol", "_ip_sum", "_middle", "_prefix", "_pseudo_sum", "_tcp_sum")

    def __init__(
        self,
        destination_mac: bytes,
        source_mac: bytes,
        source: bytes,
        destination: bytes,
        source_port: int,
        destination_port: int,
        *,
        ttl: int = 64,
        tos: int = 0,
        dont_fragment: bool = True,
    ) -> None:
        flags = FLAG_DONT_FRAGMENT if dont_fragment else 0
        ttl_protocol = ttl << 8 | PROTOCOL_TCP
        addresses = _from_bytes(source, "big") + _from_bytes(destination, "big")
        self._prefix = destination_mac + source_mac + b"\x08\x00\x45" + bytes((tos,))
        self._fragment_ttl_protocol = flags << 16 | ttl_protocol
        self._middle = source + destination + source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
        self._ip_sum = 0x4500 + tos + flags + ttl_protocol + addresses
        self._tcp_sum = addresses + PROTOCOL_TCP + source_port + destination_port
        self._pseudo_sum = addresses + PROTOCOL_TCP

    def stamp(
        self,
        ip_id: int,
        sequence: int,
        acknowledgment: int,
        flags: int,
        window: int,
        timestamp: int,
        echo: int,
        payload: bytes,
    ) -> bytes:
        """Give the whole frame of an ordinary segment: timestamps are its only option.

        ip_id, window: 0 to 65535. sequence, acknowledgment, timestamp, echo: 32 bits.
        """
        size = len(payload)
        flags |= _STAMPED_OFFSET
        total = (
            self._tcp_sum
            + 32
            + size
            + sequence
            + acknowledgment
            + flags
            + window
            + NOP_NOP_TIMESTAMPS
            + timestamp
            + echo
        )
        if size:
            total += checksum_sum(payload)
        size += 52
        return (
            _pack_stamped(
                self._prefix,
                size,
                ip_id,
                self._fragment_ttl_protocol,
                -(self._ip_sum + size + ip_id) % 65535,
                self._middle,
                sequence,
                acknowledgment,
                flags,
                window,
                -total % 65535,
                0,
                NOP_NOP_TIMESTAMPS,
                timestamp,
                echo,
            )
            + payload
        )

    def stamp_unfinished(
        self, ip_id: int, sequence: int, acknowledgment: int, flags: int, window: int, options: bytes, payload: bytes
    ) -> bytes:
        """Give the whole frame of a segment whose checksum, and cutting, is left to the hardware (see `Offload`).

        options: a multiple of 4 bytes, at most 40. payload: up to what an IPv4 packet holds.
        """
        tcp_length = 20 + len(options) + len(payload)
        size = tcp_length + 20
        return (
            _pack_header(
                self._prefix,
                size,
                ip_id,
                self._fragment_ttl_protocol,
                -(self._ip_sum + size + ip_id) % 65535,
                self._middle,
                sequence,
                acknowledgment,
                flags | (20 + len(options)) << 10,
                window,
                (self._pseudo_sum + tcp_length) % 65535 or 65535,
                0,
            )
            + options
            + payload
        )

    def stamp_options(
        self, ip_id: int, sequence: int, acknowledgment: int, flags: int, window: int, options: bytes, payload: bytes
    ) -> bytes:
        """Give the whole frame of any segment; options: a multiple of 4 bytes, at most 40."""
        tcp_length = 20 + len(options) + len(payload)
        flags |= (20 + len(options)) << 10
        total = self._tcp_sum + tcp_length + sequence + acknowledgment + flags + window
        total += checksum_sum(options) + checksum_sum(payload)
        size = tcp_length + 20
        return (
            _pack_header(
                self._prefix,
                size,
                ip_id,
                self._fragment_ttl_protocol,
                -(self._ip_sum + size + ip_id) % 65535,
                self._middle,
                sequence,
                acknowledgment,
                flags,
                window,
                -total % 65535,
                0,
            )
            + options
            + payload
        )
