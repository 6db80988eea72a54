"""What UDP and TCP carry, in the words of `tcpdump -n`: DHCP, the VXLAN header, the first line of an HTTP message.

Limits: without `-v` tcpdump does not tell kinds of DHCP messages apart, so neither does this.
"""

from __future__ import annotations

from emu.wire import dhcp, ipv4, vxlan
from emu.wire.address import mac_to_text

_HTTP_PORTS = frozenset((80, 3128, 8080))
_HTTP_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"))
_DHCP_PORTS = frozenset((dhcp.CLIENT_PORT, dhcp.SERVER_PORT))
_DHCP_MAC_END = 34
_DHCP_OPERATIONS = {dhcp.OPERATION_REQUEST: "Request", dhcp.OPERATION_REPLY: "Reply"}
_ETHERNET_LENGTH = 14


def render_udp_payload(source_port: int, destination_port: int, payload: bytes, length: int) -> str:
    """Describe what a datagram carries.

    payload: its captured bytes, perhaps cut off. length: how many there are according to the UDP header.
    """
    if destination_port == vxlan.PORT and len(payload) >= vxlan.HEADER_LENGTH:
        flag = "I" if payload[0] & 0x08 else "."
        return f"VXLAN, flags [{flag}] (0x{payload[0]:02x}), vni {int.from_bytes(payload[4:7], 'big')}"
    if source_port in _DHCP_PORTS or destination_port in _DHCP_PORTS:
        return _render_dhcp(payload, length)
    return f"UDP, length {length}"


def _render_dhcp(payload: bytes, length: int) -> str:
    if len(payload) < _DHCP_MAC_END:
        return "BOOTP/DHCP [|bootp]"
    operation = payload[0]
    text = f"BOOTP/DHCP, {_DHCP_OPERATIONS.get(operation, f'unknown (0x{operation:02x})')}"
    if operation == dhcp.OPERATION_REQUEST and payload[1:3] == b"\x01\x06":  # Ethernet, 6 bytes
        text += f" from {mac_to_text(payload[28:34])}"
    return f"{text}, length {length}"


def render_tcp_payload(source_port: int, destination_port: int, payload: bytes) -> str:
    """Describe what a segment carries, to be put behind its length; empty for what is not HTTP."""
    if not payload or (source_port not in _HTTP_PORTS and destination_port not in _HTTP_PORTS):
        return ""
    line = payload.split(b"\r\n", 1)[0]
    words = line.split(b" ", 2)
    is_request = words[0] in _HTTP_METHODS
    is_response = len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit()
    if not (is_request or is_response) or not line.isascii() or not (text := line.decode("ascii")).isprintable():
        return ": HTTP"
    return f": HTTP: {text}"


def frame_in_vxlan(data: bytes) -> bytes | None:
    """Return the frame inside a whole IPv4 packet of VXLAN; None when there is none."""
    if len(data) < 34 or data[12:14] != b"\x08\x00" or data[14] >> 4 != 4 or data[23] != ipv4.PROTOCOL_UDP:
        return None
    udp_start = _ETHERNET_LENGTH + ((data[14] & 0x0F) << 2)
    is_fragment = (data[20] & 0x3F) or data[21]
    if is_fragment or data[udp_start + 2 : udp_start + 4] != vxlan.PORT.to_bytes(2, "big"):
        return None
    end = _ETHERNET_LENGTH + (data[16] << 8 | data[17])
    inner = data[udp_start + 8 + vxlan.HEADER_LENGTH : end]
    return inner if len(inner) >= _ETHERNET_LENGTH else None
