"""The fields of a frame by dotted names, as the comparison of captures needs them."""

from __future__ import annotations

import struct
from typing import Any

from tests.golden.tcp_fields import decode_tcp

Fields = dict[str, Any]
TCP_HEADER = 20


def decode(data: bytes) -> Fields:
    """Return the fields of an Ethernet frame, by dotted names."""
    fields: Fields = {"eth.dst": data[:6], "eth.src": data[6:12], "eth.type": data[12:14].hex(), "length": len(data)}
    if data[12:14] == b"\x08\x06":
        _decode_arp(data[14:], fields)
    elif data[12:14] == b"\x08\x00":
        _decode_ipv4(data[14:], fields, "")
    else:
        fields["payload"] = data[14:]
    return fields


def _decode_arp(data: bytes, fields: Fields) -> None:
    fields["arp.types"] = data[:6].hex()
    fields["arp.operation"] = {1: "request", 2: "reply"}.get(data[7], data[6:8].hex())
    fields["arp.sender_mac"] = data[8:14]
    fields["arp.sender_ip"] = _dotted(data[14:18])
    fields["arp.target_mac"] = data[18:24]
    fields["arp.target_ip"] = _dotted(data[24:28])
    fields["arp.rest"] = data[28:].hex()


def _decode_ipv4(data: bytes, fields: Fields, prefix: str) -> None:
    header_length = (data[0] & 0x0F) * 4
    flags = data[6] << 8 | data[7]
    total_length = int.from_bytes(data[2:4], "big")
    offset = (flags & 0x1FFF) * 8
    more = bool(flags & 0x2000)
    fields[prefix + "ip.version_and_header_length"] = data[0]
    fields[prefix + "ip.tos"] = data[1]
    fields[prefix + "ip.length"] = total_length
    fields[prefix + "ip.id"] = int.from_bytes(data[4:6], "big")
    fields[prefix + "ip.df"] = bool(flags & 0x4000)
    fields[prefix + "ip.mf"] = more
    fields[prefix + "ip.offset"] = offset
    fields[prefix + "ip.ttl"] = data[8]
    fields[prefix + "ip.protocol"] = data[9]
    fields[prefix + "ip.checksum"] = _checksum_verdict(data[:header_length])
    fields[prefix + "ip.src"] = _dotted(data[12:16])
    fields[prefix + "ip.dst"] = _dotted(data[16:20])
    fields[prefix + "ip.options"] = data[20:header_length].hex()
    payload = data[header_length:] if prefix else data[header_length:total_length]
    if not prefix:
        fields["ip.trailer"] = data[total_length:].hex()
    complete = not more and not offset and len(payload) == total_length - header_length
    if offset:
        fields[prefix + "ip.payload"] = payload
    elif data[9] == 1:
        _decode_icmp(payload, fields, prefix, complete)
    elif data[9] == 17:
        _decode_udp(payload, fields, prefix, data, complete)
    elif data[9] == 6 and len(payload) >= TCP_HEADER:
        pseudo = data[12:20] + b"\0\x06" + len(payload).to_bytes(2, "big")
        decode_tcp(payload, fields, prefix, _checksum_verdict(pseudo + payload) if complete else None)
    else:
        fields[prefix + "ip.payload"] = payload


def _decode_icmp(data: bytes, fields: Fields, prefix: str, complete: bool) -> None:
    fields[prefix + "icmp.type"] = data[0]
    fields[prefix + "icmp.code"] = data[1]
    if complete:
        fields[prefix + "icmp.checksum"] = _checksum_verdict(data)
    if data[0] in (0, 8):
        fields[prefix + "icmp.id"] = int.from_bytes(data[4:6], "big")
        fields[prefix + "icmp.sequence"] = int.from_bytes(data[6:8], "big")
        time_length = 16 if any(data[24:]) else 4  # iputils writes a timeval, BusyBox microseconds
        fields[prefix + "icmp.time"] = data[8 : 8 + time_length]
        fields[prefix + "icmp.data"] = data[8 + time_length :]
    else:
        fields[prefix + "icmp.rest_of_header"] = data[4:8].hex()
        _decode_ipv4(data[8:], fields, prefix + "quoted.")


def _decode_udp(data: bytes, fields: Fields, prefix: str, packet: bytes, complete: bool) -> None:
    fields[prefix + "udp.source_port"] = int.from_bytes(data[0:2], "big")
    fields[prefix + "udp.destination_port"] = int.from_bytes(data[2:4], "big")
    fields[prefix + "udp.length"] = int.from_bytes(data[4:6], "big")
    if complete:
        pseudo = packet[12:20] + b"\0\x11" + data[4:6]
        fields[prefix + "udp.checksum"] = _checksum_verdict(pseudo + data)
    fields[prefix + "udp.payload"] = data[8:]


def _checksum_verdict(data: bytes) -> str:
    words = struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    return "good" if sum(words) % 0xFFFF == 0 else "bad"


def _dotted(address: bytes) -> str:
    return ".".join(map(str, address))
