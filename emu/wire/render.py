"""One line of text for any frame, in the words of `tcpdump -n -S` (with `-e` when the link header is wanted).

Where tcpdump says something, this says the same; the exceptions are on purpose: fragments end with tcpdump's older
notation `(frag id:size@offset+)`, because without it a lost fragment can't be seen; and the frame inside a VXLAN packet
follows on the same line instead of the next. A cut-off header reads `[|ip]`, `[|udp]` and so on.

Limits: rarer ARP operations, ICMP types and IP protocols are shown as numbers; of what UDP and TCP carry only DHCP,
VXLAN and HTTP are read; of IPv6 only addresses and the kind of payload; what follows VLAN tags and LLC headers isn't.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from emu.wire import arp, ethernet, ipv4
from emu.wire.address import ipv4_to_text, mac_to_text
from emu.wire.render_icmp import render_icmp
from emu.wire.render_payload import frame_in_vxlan, render_udp_payload
from emu.wire.render_tcp import render_tcp

_ETHERTYPE_NAMES = {
    ethernet.ETHERTYPE_IPV4: "IPv4",
    ethernet.ETHERTYPE_ARP: "ARP",
    ethernet.ETHERTYPE_VLAN: "802.1Q",
    ethernet.ETHERTYPE_IPV6: "IPv6",
}


def render(data: bytes, *, link_header: bool = False) -> str:
    """Describe a frame in one line, whatever its bytes are.

    data: the frame from its destination MAC address on. link_header: begin with MAC addresses, EtherType and length.
    """
    line = _render_frame(data, link_header)
    inner = frame_in_vxlan(data)
    return line if inner is None else f"{line}: {_render_frame(inner, link_header)}"


def _render_frame(data: bytes, link_header: bool) -> str:
    if len(data) < ethernet.HEADER_LENGTH:
        return "[|ether]"
    kind = data[12] << 8 | data[13]
    known = _RENDERERS.get(kind)
    if known is None or link_header:
        header = _render_link_header(data, kind)
        return f"{header}: {known[1](data)}" if known else header
    return f"{known[0]} {known[1](data)}"


def _render_link_header(data: bytes, kind: int) -> str:
    addresses = f"{mac_to_text(data[6:12])} > {mac_to_text(data[0:6])}"
    if kind < ethernet.MINIMUM_ETHERTYPE:
        return f"{addresses}, 802.3, length {kind}"
    return f"{addresses}, ethertype {_ETHERTYPE_NAMES.get(kind, 'Unknown')} (0x{kind:04x}), length {len(data)}"


def _render_arp(data: bytes) -> str:
    view = arp.parse_arp(data)
    if view is None:
        return "[|arp]" if len(data) < 14 + arp.LENGTH else "not for IPv4 over Ethernet"
    length = len(data) - 14
    sender, target = ipv4_to_text(view.sender_address), ipv4_to_text(view.target_address)
    operation = view.operation
    if operation == arp.OPERATION_REQUEST:
        known_mac = f" ({mac_to_text(view.target_mac)})" if any(view.target_mac) else ""
        return f"Request who-has {target}{known_mac} tell {sender}, length {length}"
    if operation == arp.OPERATION_REPLY:
        return f"Reply {sender} is-at {mac_to_text(view.sender_mac)}, length {length}"
    return f"operation {operation}, length {length}"


def _render_ipv4(data: bytes) -> str:
    available = len(data) - 14
    if available < 20:
        return "[|ip]"
    version, header_length = data[14] >> 4, (data[14] & 0x0F) << 2
    total_length = data[16] << 8 | data[17]
    if version != 4:
        return f"wrong version {version} (invalid)"
    if header_length < 20:
        return f"bad-hlen {header_length}"
    if total_length < header_length:
        return f"bad-len {total_length}"
    missing = total_length - available
    if available < header_length:
        return f"truncated-ip - {missing} bytes missing! [|ip]"
    prefix = f"truncated-ip - {missing} bytes missing! " if missing > 0 else ""
    return prefix + _render_packet(ipv4.Ipv4View(data, 14, header_length, total_length))


def _render_packet(view: ipv4.Ipv4View) -> str:
    source, destination = ipv4_to_text(view.source), ipv4_to_text(view.destination)
    protocol = view.protocol
    fragment = _render_fragment(view)
    if view.fragment_offset:
        return f"{source} > {destination}: ip-proto-{protocol}{fragment}"
    payload = view.payload
    if protocol == ipv4.PROTOCOL_UDP or protocol == ipv4.PROTOCOL_TCP:
        name = "udp" if protocol == ipv4.PROTOCOL_UDP else "tcp"
        if len(payload) < 4:
            return f"{source} > {destination}: [|{name}]{fragment}"
        source_port, destination_port = payload[0] << 8 | payload[1], payload[2] << 8 | payload[3]
        if protocol == ipv4.PROTOCOL_UDP:
            text = _render_udp(source_port, destination_port, payload, view.payload_length, view.more_fragments)
        else:
            text = render_tcp(payload, view.payload_length)
        return f"{source}.{source_port} > {destination}.{destination_port}: {text}{fragment}"
    if protocol == ipv4.PROTOCOL_ICMP:
        text = render_icmp(payload, view.payload_length)
    else:
        text = f"ip-proto-{protocol} {view.payload_length}"
    return f"{source} > {destination}: {text}{fragment}"


def _render_fragment(view: ipv4.Ipv4View) -> str:
    if not view.is_fragment:
        return ""
    more = "+" if view.more_fragments else ""
    return f" (frag {view.identification}:{view.payload_length}@{view.fragment_offset}{more})"


def _render_udp(source_port: int, destination_port: int, segment: bytes, length: int, more_fragments: bool) -> str:
    """segment: the captured bytes; length: what the IP header says there are."""
    if length < 8:
        return f"truncated-udp {length}"
    if len(segment) < 8:
        return "[|udp]"
    udp_length = segment[4] << 8 | segment[5]
    if udp_length < 8:
        return f"truncated-udplength {udp_length}"
    if udp_length > length and not more_fragments:
        return f"UDP, bad length {udp_length - 8} > {length - 8}"
    return render_udp_payload(source_port, destination_port, segment[8:], udp_length - 8)


def _render_ipv6(data: bytes) -> str:
    if len(data) < 54:
        return "[|ip6]"
    if data[14] >> 4 != 6:
        return f"version error: {data[14] >> 4} != 6"
    length, next_header = data[18] << 8 | data[19], data[20]
    addresses = f"{IPv6Address(data[22:38])} > {IPv6Address(data[38:54])}"
    name = {58: "ICMP6,", ipv4.PROTOCOL_UDP: "UDP,", ipv4.PROTOCOL_TCP: "TCP,"}.get(next_header)
    return f"{addresses}: {name or f'ip-proto-{next_header},'} length {length}"


_RENDERERS = {
    ethernet.ETHERTYPE_IPV4: ("IP", _render_ipv4),
    ethernet.ETHERTYPE_ARP: ("ARP,", _render_arp),
    ethernet.ETHERTYPE_IPV6: ("IP6", _render_ipv6),
}
