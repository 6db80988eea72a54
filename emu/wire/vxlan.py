"""VXLAN headers (RFC 7348), the flow hash behind the outer source port, and the ECN rules of tunnels (RFC 6040).

A frame in a tunnel is: outer Ethernet 14, IPv4 20, UDP 8, VXLAN 8, then the inner Ethernet frame. The VXLAN header is
`08 00 00 00 VV VV VV 00`. Linux is stricter than the RFC, which tells receivers to ignore the reserved bits: anything
but exactly these eight bytes is dropped, so receivers here simply look the whole header up.
"""

from __future__ import annotations

from hashlib import blake2s
from struct import Struct

from emu.kernel.errors import InvalidValue
from emu.wire.checksum import checksum_sum
from emu.wire.ecn import ECN_CE, ECN_ECT_0, ECN_ECT_1, ECN_MASK, ECN_NOT_ECT, set_ecn, traffic_class
from emu.wire.ipv4 import FLAG_DONT_FRAGMENT, PROTOCOL_UDP

HEADER_LENGTH = 8
PORT = 4789
"""The port IANA assigned, which Docker uses; Linux's own default is 8472."""
OVERHEAD = 50
"""What a tunnel over IPv4 takes of the underlay's MTU: IPv4 20, UDP 8, VXLAN 8 and the inner Ethernet header 14."""
MAXIMUM_VNI = 2**24 - 1

SOURCE_PORT_LOW = 32768
SOURCE_PORT_HIGH = 60999
"""Linux's default range of local ports; the highest one is never used as a tunnel's source port."""

_FLAGS = b"\x08\x00\x00\x00"
_PORT_PROTOCOLS = frozenset((6, 17, 33, 50, 132, 136))
"""TCP, UDP, DCCP, ESP, SCTP, UDP-Lite: the four bytes behind their IP header tell flows apart."""
_PROTOCOL_TCP = 6
_MASK_32 = 0xFFFFFFFF

_pack = Struct("!18sHIH14sH8s").pack
_from_bytes = int.from_bytes


def check_vni(vni: int) -> int:
    """Return the VXLAN network identifier if it is 0 to 16777215; raises InvalidValue otherwise."""
    if type(vni) is not int or not 0 <= vni <= MAXIMUM_VNI:
        raise InvalidValue(f"invalid VXLAN network identifier {vni!r}: expected 0 to {MAXIMUM_VNI}")
    return vni


def build_vxlan_header(vni: int) -> bytes:
    """Build the eight bytes of a VXLAN header; vni: 0 to 16777215."""
    return _FLAGS + vni.to_bytes(3, "big") + b"\0"


def parse_vxlan_header(data: bytes, offset: int = 0) -> int | None:
    """Return the VNI of the header at `offset`.

    None when it is cut off, when the I flag is missing, or when any other flag or reserved bit is set, as Linux does.
    """
    header = data[offset : offset + HEADER_LENGTH]
    if len(header) < HEADER_LENGTH or header[:4] != _FLAGS or header[7]:
        return None
    return _from_bytes(header[4:7], "big")


# -- the outer source port ---------------------------------------------------------------------------------------------


def flow_key(data: bytes) -> bytes:
    """Return what the frames of one flow have in common, which its hash is made from.

    data: an Ethernet frame. As recorded (FACT 60, g25): IPv4 and IPv6 by protocol and addresses, in either direction
    the same; unfragmented TCP, UDP and the like by their ports, too; everything else, ARP included, by its EtherType
    alone, whatever the MAC addresses.

    TCP differs between the directions: Linux takes the hash that each socket drew for its own connection.
    Limits: that hash changes after a retransmission timeout in Linux, not here. Frames with a VLAN tag are one flow.
    """
    ethertype = data[12:14]
    if ethertype == b"\x08\x00" and len(data) >= 34 and data[14] >> 4 == 4 and data[14] & 15 >= 5:
        start = 14 + (data[14] & 15) * 4
        protocol = data[23]
        is_fragment = data[20] & 0x3F or data[21]
        ports = b"" if is_fragment or protocol not in _PORT_PROTOCOLS else data[start : start + 4]
        return ethertype + _conversation(protocol, data[26:30], data[30:34], ports)
    if ethertype == b"\x86\xdd" and len(data) >= 54 and data[14] >> 4 == 6:
        protocol = data[20]
        label = bytes((data[15] & 15,)) + data[16:18]
        if label != b"\0\0\0":
            return ethertype + label + _conversation(protocol, data[22:38], data[38:54], b"")
        ports = data[54:58] if protocol in _PORT_PROTOCOLS else b""
        return ethertype + _conversation(protocol, data[22:38], data[38:54], ports)
    return ethertype


def _conversation(protocol: int, source: bytes, destination: bytes, ports: bytes) -> bytes:
    """Join protocol, addresses and ports, the smaller end first unless the direction counts."""
    source_port, destination_port = (ports[:2], ports[2:]) if len(ports) == 4 else (b"", b"")
    if protocol != _PROTOCOL_TCP and (source, source_port) > (destination, destination_port):
        source, destination = destination, source
        source_port, destination_port = destination_port, source_port
    return bytes((protocol,)) + source + destination + source_port + destination_port


def flow_hash(key: bytes, secret: bytes) -> int:
    """Hash a flow's key to 1 to 0xffffffff; secret: up to 32 bytes (Linux draws its own at boot)."""
    return _from_bytes(blake2s(key, digest_size=4, key=secret).digest(), "big") or 1


def source_port(hash_value: int, low: int = SOURCE_PORT_LOW, high: int = SOURCE_PORT_HIGH) -> int:
    """Spread a 32-bit flow hash over the ports from `low` to `high` - 1, as Linux's udp_flow_src_port does."""
    hash_value = (hash_value ^ hash_value << 16) & _MASK_32
    return (hash_value * (high - low) >> 32) + low


# -- ECN ---------------------------------------------------------------------------------------------------------------


def outer_tos(inner: int) -> int:
    """Return the outer TOS byte for an inner one: DSCP 0, the ECN bits copied, CE replaced by ECT(0) (FACT 60)."""
    ecn = inner & ECN_MASK
    return ECN_ECT_0 if ecn == ECN_CE else ecn


def merge_ecn(data: bytes, outer: int) -> bytes | None:
    """Carry the outer ECN bits over to the frame that comes out of the tunnel (RFC 6040 section 4.2).

    data: the inner frame. outer: the outer TOS byte. Returns the frame, changed where CE or ECT(1) has to be set, or
    None when it must be dropped: the outer packet met congestion and the inner one cannot say so.
    """
    ecn = outer & ECN_MASK
    ethertype = data[12:14]
    if ecn not in (ECN_CE, ECN_ECT_1) or len(data) < 34 or ethertype not in (b"\x08\x00", b"\x86\xdd"):
        return data
    inner = traffic_class(data) & ECN_MASK
    if inner == ECN_NOT_ECT:
        return None if ecn == ECN_CE else data
    if inner == ecn or (ecn == ECN_ECT_1 and inner != ECN_ECT_0):
        return data
    return set_ecn(data, ecn)


# -- the hot path ------------------------------------------------------------------------------------------------------


class VxlanFlowTemplate:
    """Makes the outer frames of one flow whose inner frames all have the same length.

    destination_mac, source_mac: 6 bytes, of the underlay. source, destination: 4-byte IPv4 addresses of the VTEPs.
    inner_length: bytes of the inner frame. header: the VXLAN header. ttl: hops. tos: the whole outer DS byte.
    """

    __slots__ = ("_fragment_ttl_protocol", "_header", "_ip_sum", "_middle", "_prefix", "_udp_sum")

    def __init__(
        self,
        destination_mac: bytes,
        source_mac: bytes,
        source: bytes,
        destination: bytes,
        source_port: int,
        destination_port: int,
        inner_length: int,
        header: bytes,
        *,
        ttl: int = 64,
        tos: int = 0,
        dont_fragment: bool = False,
    ) -> None:
        udp_length = inner_length + 16
        total_length = inner_length + 36
        assert total_length <= 65535, inner_length
        flags = FLAG_DONT_FRAGMENT if dont_fragment else 0
        ttl_protocol = ttl << 8 | PROTOCOL_UDP
        addresses = _from_bytes(source, "big") + _from_bytes(destination, "big")
        self._prefix = destination_mac + source_mac + b"\x08\x00\x45" + bytes((tos,)) + total_length.to_bytes(2, "big")
        self._fragment_ttl_protocol = flags << 16 | ttl_protocol
        self._middle = source + destination + Struct("!HHH").pack(source_port, destination_port, udp_length)
        self._header = header
        self._ip_sum = 0x4500 + tos + total_length + flags + ttl_protocol + addresses
        ports = source_port + destination_port
        self._udp_sum = addresses + PROTOCOL_UDP + udp_length + ports + udp_length + _from_bytes(header, "big")

    def stamp(self, ip_id: int, inner: bytes, checksum: bool = True) -> bytes:
        """Give the whole outer frame for one inner frame of the right length.

        ip_id: the outer IP identification, 0 to 65535. checksum: False sends 0, "none made".
        """
        return (
            _pack(
                self._prefix,
                ip_id,
                self._fragment_ttl_protocol,
                -(self._ip_sum + ip_id) % 65535,
                self._middle,
                65535 - (self._udp_sum + checksum_sum(inner)) % 65535 if checksum else 0,
                self._header,
            )
            + inner
        )
