"""ICMP messages in tcpdump's words (RFC 792, 1191, 1812)."""

from __future__ import annotations

from emu.wire import icmp, ipv4
from emu.wire.address import ipv4_to_text

_UNREACHABLE = {
    icmp.CODE_NET_UNREACHABLE: "net {} unreachable",
    icmp.CODE_HOST_UNREACHABLE: "host {} unreachable",
    icmp.CODE_SOURCE_ROUTE_FAILED: "{} unreachable - source route failed",
    icmp.CODE_NET_UNKNOWN: "net {} unreachable - unknown",
    icmp.CODE_HOST_UNKNOWN: "host {} unreachable - unknown",
    icmp.CODE_SOURCE_ISOLATED: "{} unreachable - source host isolated",
    icmp.CODE_NET_PROHIBITED: "net {} unreachable - admin prohibited",
    icmp.CODE_HOST_PROHIBITED: "host {} unreachable - admin prohibited",
    icmp.CODE_NET_UNREACHABLE_FOR_TOS: "net {} unreachable - tos prohibited",
    icmp.CODE_HOST_UNREACHABLE_FOR_TOS: "host {} unreachable - tos prohibited",
    icmp.CODE_ADMINISTRATIVELY_PROHIBITED: "host {} unreachable - admin prohibited filter",
    14: "host {} unreachable - host precedence violation",
    15: "host {} unreachable - precedence cutoff",
}
_REDIRECT = {
    0: "redirect {} to net {}",
    1: "redirect {} to host {}",
    2: "redirect-tos {} to net {}",
    3: "redirect-tos {} to host {}",
}
_TIME_EXCEEDED = {
    icmp.CODE_TTL_EXCEEDED: "time exceeded in-transit",
    icmp.CODE_REASSEMBLY_TIME_EXCEEDED: "ip reassembly time exceeded",
}


def render_icmp(message: bytes, length: int) -> str:
    """Describe an ICMP message.

    message: its captured bytes, perhaps cut off. length: how many there are according to the IP header.
    """
    view = icmp.parse_icmp(message, 0)
    text = _describe(view) if view is not None else None
    return f"ICMP {text}, length {length}" if text is not None else "[|icmp]"


def _describe(view: icmp.IcmpView) -> str | None:
    kind, code = view.type, view.code
    if kind == icmp.TYPE_ECHO_REQUEST or kind == icmp.TYPE_ECHO_REPLY:
        name = "request" if kind == icmp.TYPE_ECHO_REQUEST else "reply"
        return f"echo {name}, id {view.identifier}, seq {view.sequence}"
    if kind == icmp.TYPE_DESTINATION_UNREACHABLE:
        return _describe_unreachable(view, code)
    if kind == icmp.TYPE_TIME_EXCEEDED:
        return _TIME_EXCEEDED.get(code, f"time exceeded-#{code}")
    if kind == icmp.TYPE_PARAMETER_PROBLEM:
        return f"parameter problem - octet {view.pointer}" if code == 0 else f"parameter problem - code {code}"
    if kind == icmp.TYPE_REDIRECT:
        quoted = ipv4.parse_quoted_ipv4(view.payload)
        if quoted is None:
            return None
        pattern = _REDIRECT.get(code, f"redirect-#{code} {{}} to {{}}")
        return pattern.format(ipv4_to_text(quoted.destination), ipv4_to_text(view.gateway))
    if kind == icmp.TYPE_SOURCE_QUENCH:
        return "source quench"
    return f"type-#{kind}"


def _describe_unreachable(view: icmp.IcmpView, code: int) -> str | None:
    """None if too little of the offending packet is quoted to say what was unreachable."""
    quoted = ipv4.parse_quoted_ipv4(view.payload)
    if quoted is None:
        return None
    destination = ipv4_to_text(quoted.destination)
    if code == icmp.CODE_PROTOCOL_UNREACHABLE:
        return f"{destination} protocol {quoted.protocol} unreachable"
    if code == icmp.CODE_PORT_UNREACHABLE:
        ports = quoted.data[quoted.payload_offset : quoted.payload_offset + 4]
        if len(ports) < 4:
            return None
        names = {ipv4.PROTOCOL_TCP: "tcp", ipv4.PROTOCOL_UDP: "udp"}
        name = names.get(quoted.protocol, f"protocol {quoted.protocol}")
        return f"{destination} {name} port {ports[2] << 8 | ports[3]} unreachable"
    if code == icmp.CODE_FRAGMENTATION_NEEDED:
        mtu = f" (mtu {view.next_hop_mtu})" if view.next_hop_mtu else ""
        return f"{destination} unreachable - need to frag{mtu}"
    return _UNREACHABLE.get(code, f"{{}} unreachable - #{code}").format(destination)
