"""Stampers for one flow: everything that stays the same is laid out once, each packet costs about a microsecond.

`UdpFlowTemplate` is the hot path of bulk UDP: one pack of five pieces and one concatenation per datagram, with the
constant part of both checksums summed up beforehand (RFC 1071 section 2: sums of parts add up).
`IcmpEchoTemplate` and `arp_template` are bound from templates that the Scapy compiler makes once per process, on
first use; binding one to a flow takes microseconds.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

from emu.wire import scapy_bridge
from emu.wire.checksum import checksum_sum
from emu.wire.ipv4 import FLAG_DONT_FRAGMENT, PROTOCOL_UDP
from emu.wire.template import Template

_pack = Struct("!18sHIH14sH").pack
_from_bytes = int.from_bytes


class UdpFlowTemplate:
    """Makes the frames of one UDP flow whose datagrams all have the same length.

    destination_mac, source_mac: 6 bytes. source, destination: 4-byte IPv4 addresses. payload_length: in bytes, so
    that the packet has at most 65535 (and, to go out whole, at most the MTU). ttl: hops. tos: the whole DS byte.
    """

    __slots__ = ("_fragment_ttl_protocol", "_ip_sum", "_middle", "_prefix", "_udp_sum", "payload_length")

    def __init__(
        self,
        destination_mac: bytes,
        source_mac: bytes,
        source: bytes,
        destination: bytes,
        source_port: int,
        destination_port: int,
        payload_length: int,
        *,
        ttl: int = 64,
        tos: int = 0,
        dont_fragment: bool = True,
    ) -> None:
        self.payload_length = payload_length
        udp_length = payload_length + 8
        total_length = payload_length + 28
        assert total_length <= 65535, payload_length
        flags = FLAG_DONT_FRAGMENT if dont_fragment else 0
        ttl_protocol = ttl << 8 | PROTOCOL_UDP
        addresses = _from_bytes(source, "big") + _from_bytes(destination, "big")
        self._prefix = destination_mac + source_mac + b"\x08\x00\x45" + bytes((tos,)) + total_length.to_bytes(2, "big")
        self._fragment_ttl_protocol = flags << 16 | ttl_protocol
        self._middle = source + destination + Struct("!HHH").pack(source_port, destination_port, udp_length)
        self._ip_sum = 0x4500 + tos + total_length + flags + ttl_protocol + addresses
        self._udp_sum = addresses + PROTOCOL_UDP + udp_length + source_port + destination_port + udp_length

    def stamp(self, ip_id: int, payload: bytes, checksum: bool = True) -> bytes:
        """Give the whole frame for one datagram.

        ip_id: the IP identification, 0 to 65535. payload: exactly `payload_length` bytes.
        checksum: False sends 0, "none made" (RFC 768).
        """
        return (
            _pack(
                self._prefix,
                ip_id,
                self._fragment_ttl_protocol,
                -(self._ip_sum + ip_id) % 65535,
                self._middle,
                65535 - (self._udp_sum + checksum_sum(payload)) % 65535 if checksum else 0,
            )
            + payload
        )


class IcmpEchoTemplate:
    """Makes the frames of one ping, or of the answers to it.

    destination_mac, source_mac: 6 bytes. source, destination: 4-byte IPv4 addresses. identifier: 0 to 65535.
    reply: False for echo requests, True for echo replies. ttl: hops. tos: the whole DS byte.
    """

    __slots__ = ("_stamp",)

    def __init__(
        self,
        destination_mac: bytes,
        source_mac: bytes,
        source: bytes,
        destination: bytes,
        identifier: int,
        *,
        reply: bool = False,
        ttl: int = 64,
        tos: int = 0,
        dont_fragment: bool = False,
    ) -> None:
        self._stamp = (
            echo_template()
            .bind(
                destination_mac=destination_mac,
                source_mac=source_mac,
                source=source,
                destination=destination,
                identifier=identifier,
                kind=0 if reply else 8,
                ttl=ttl,
                tos=tos,
                flags=2 if dont_fragment else 0,
            )
            .stamp
        )

    def stamp(self, ip_id: int, sequence: int, payload: bytes) -> bytes:
        """Give the whole frame; ip_id and sequence are 0 to 65535."""
        return self._stamp(payload, ip_id=ip_id, sequence=sequence)


@lru_cache(maxsize=1)
def echo_template() -> Template:
    """Give the compiled template of an ICMP echo frame, in which everything but the lengths and checksums varies.

    Names: destination_mac, source_mac, tos, ip_id, flags (2 is DF), ttl, source, destination, kind (0 or 8),
    identifier, sequence.
    """
    scapy = scapy_bridge.layers()
    ether, ip, icmp = scapy.Ether, scapy.IP, scapy.ICMP
    packet = (
        ether(dst="00:00:00:00:00:00", src="00:00:00:00:00:00", type=0x0800)
        / ip(version=4, ihl=5, tos=0, id=0, flags=0, frag=0, ttl=64, proto=1, src="0.0.0.0", dst="0.0.0.0", options=[])
        / icmp(type=8, code=0, id=0, seq=0)
    )
    return Template(
        packet,
        {
            "destination_mac": (ether, "dst"),
            "source_mac": (ether, "src"),
            "tos": (ip, "tos"),
            "ip_id": (ip, "id"),
            "flags": (ip, "flags"),
            "ttl": (ip, "ttl"),
            "source": (ip, "src"),
            "destination": (ip, "dst"),
            "kind": (icmp, "type"),
            "identifier": (icmp, "id"),
            "sequence": (icmp, "seq"),
        },
    )


@lru_cache(maxsize=1)
def arp_template() -> Template:
    """Give the compiled template of an ARP frame (RFC 826).

    Names: destination_mac, source_mac, operation (1 request, 2 reply), sender_mac, sender_address, target_mac,
    target_address.
    """
    scapy = scapy_bridge.layers()
    ether, arp = scapy.Ether, scapy.ARP
    zero_mac = "00:00:00:00:00:00"
    packet = ether(dst=zero_mac, src=zero_mac, type=0x0806) / arp(
        hwtype=1,
        ptype=0x0800,
        hwlen=6,
        plen=4,
        op=1,
        hwsrc=zero_mac,
        psrc="0.0.0.0",
        hwdst=zero_mac,
        pdst="0.0.0.0",
    )
    return Template(
        packet,
        {
            "destination_mac": (ether, "dst"),
            "source_mac": (ether, "src"),
            "operation": (arp, "op"),
            "sender_mac": (arp, "hwsrc"),
            "sender_address": (arp, "psrc"),
            "target_mac": (arp, "hwdst"),
            "target_address": (arp, "pdst"),
        },
    )
