"""The bytes of pcapng blocks and options.

Everything is little-endian. A block is: type, total length, body, total length again; bodies and options are padded
to 32 bits. The blocks follow the IETF draft "PCAP Next Generation (pcapng) Capture File Format"
(draft-ietf-opsawg-pcapng), sections 3 and 4. Nothing here depends on the machine: the same calls give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from emu.capture.interface import InterfaceInfo
from emu.version import __version__

EPOCH_SECONDS = 946_684_800
"""Virtual time 0 in captures: 2000-01-01T00:00:00Z. A fixed date, so that the same seed gives the same bytes."""
EPOCH_NS = EPOCH_SECONDS * 1_000_000_000

LINKTYPE_ETHERNET = 1

BLOCK_INTERFACE_DESCRIPTION = 1
BLOCK_NAME_RESOLUTION = 4
BLOCK_INTERFACE_STATISTICS = 5
BLOCK_ENHANCED_PACKET = 6
BLOCK_SECTION_HEADER = 0x0A0D0D0A

BYTE_ORDER_MAGIC = 0x1A2B3C4D
SECTION_LENGTH_UNKNOWN = -1

OPTION_END = 0
OPTION_COMMENT = 1

SHB_HARDWARE, SHB_OS, SHB_USERAPPL = 2, 3, 4

IF_NAME, IF_DESCRIPTION, IF_MACADDR, IF_SPEED, IF_TSRESOL, IF_OS, IF_HARDWARE = 2, 3, 6, 8, 9, 12, 15

EPB_FLAGS, EPB_DROPCOUNT, EPB_PACKETID, EPB_VERDICT = 2, 4, 5, 7

ISB_STARTTIME, ISB_ENDTIME, ISB_IFRECV, ISB_IFDROP = 2, 3, 4, 5

NRB_RECORD_IPV4, NRB_RECORD_IPV6 = 1, 2

VERDICT_EBPF_TC = 1
TC_ACT_SHOT = 2
"""Linux' traffic-control verdict "drop" (linux/pkt_cls.h); Wireshark shows it as `frame.verdict.ebpf_tc == 2`."""

TIMESTAMP_RESOLUTION_NS = 9
EMULATED_HARDWARE = "emulated"
EMULATED_OS = "Linux (emulated)"
USER_APPLICATION = f"emu {__version__}"

OPTION_LENGTH_MAX = 65_535
"""An option's length is a 16-bit field."""
NAME_RECORD_LENGTH_MAX = 65_535

_BLOCK_HEAD = Struct("<II")
_BLOCK_TAIL = Struct("<I")
_OPTION_HEAD = Struct("<HH")
_PACKET_HEAD = Struct("<IIIII")
_U32 = Struct("<I")
_U64 = Struct("<Q")

_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
"""The padding of a field by the two low bits of its length."""

OPTIONS_END = _OPTION_HEAD.pack(OPTION_END, 0)


def padded(data: bytes) -> bytes:
    """Return the data filled up with zeros to a multiple of four bytes."""
    return data + _PADDING[len(data) & 3]


def block(block_type: int, body: bytes) -> bytes:
    """Return a whole block around a body whose length is a multiple of four."""
    assert len(body) & 3 == 0, f"the body of a type {block_type} block has {len(body)} bytes"
    total = len(body) + 12
    return _BLOCK_HEAD.pack(block_type, total) + body + _BLOCK_TAIL.pack(total)


def option(code: int, value: bytes) -> bytes:
    """Return one option with its padding."""
    assert len(value) <= OPTION_LENGTH_MAX, f"option {code} has {len(value)} bytes"
    return _OPTION_HEAD.pack(code, len(value)) + padded(value)


def text_option(code: int, text: str) -> bytes:
    """Return an option with UTF-8 text; text beyond the 65,535 bytes of an option is cut off."""
    value = text.encode("utf-8", "replace")
    if len(value) > OPTION_LENGTH_MAX:
        value = value[:OPTION_LENGTH_MAX].decode("utf-8", "ignore").encode()
    return option(code, value)


def timestamp(now_ns: int) -> bytes:
    """Return a virtual time as the pair (high, low) of 32-bit words that pcapng uses."""
    time_ns = now_ns + EPOCH_NS
    return _U32.pack(time_ns >> 32) + _U32.pack(time_ns & 0xFFFFFFFF)


def section_header(comment: str = "") -> bytes:
    """Return the Section Header Block that starts a file; the length of the section is left open."""
    body = Struct("<IHHq").pack(BYTE_ORDER_MAGIC, 1, 0, SECTION_LENGTH_UNKNOWN)
    options = [text_option(OPTION_COMMENT, comment)] if comment else []
    options += [
        text_option(SHB_HARDWARE, EMULATED_HARDWARE),
        text_option(SHB_OS, EMULATED_OS),
        text_option(SHB_USERAPPL, USER_APPLICATION),
        OPTIONS_END,
    ]
    return block(BLOCK_SECTION_HEADER, body + b"".join(options))


def interface_description(info: InterfaceInfo, snaplen: int = 0) -> bytes:
    """Return the Interface Description Block; a snaplen of 0 means that frames are kept whole."""
    options = [text_option(IF_NAME, info.name)]
    description = describe(info)
    if description:
        options.append(text_option(IF_DESCRIPTION, description))
    if info.mac is not None:
        options.append(option(IF_MACADDR, info.mac))
    if info.speed_bps is not None:
        options.append(option(IF_SPEED, _U64.pack(info.speed_bps)))
    options.append(option(IF_TSRESOL, bytes((TIMESTAMP_RESOLUTION_NS,))))
    options.append(text_option(IF_OS, EMULATED_OS))
    if info.hardware:
        options.append(text_option(IF_HARDWARE, info.hardware))
    options.append(OPTIONS_END)
    body = Struct("<HHI").pack(LINKTYPE_ETHERNET, 0, snaplen)
    return block(BLOCK_INTERFACE_DESCRIPTION, body + b"".join(options))


def describe(info: InterfaceInfo) -> str:
    """Return the description that people read; it says the MTU, for which pcapng has no option of its own."""
    parts = [info.description] if info.description else []
    if info.mtu is not None and "mtu" not in info.description.lower():
        parts.append(f"MTU {info.mtu}")
    return ", ".join(parts)


def drop_verdict() -> bytes:
    """Return the verdict option that marks a dropped frame."""
    return option(EPB_VERDICT, bytes((VERDICT_EBPF_TC,)) + _U64.pack(TC_ACT_SHOT))


def enhanced_packet(interface_id: int, now_ns: int, captured: bytes, length: int, options: Sequence[bytes]) -> bytes:
    """Return an Enhanced Packet Block with any options (the plain ones are packed by `PcapngInterface.tap`).

    captured: the bytes to keep, at most `length`, which is the length on the wire.
    """
    head = _PACKET_HEAD.pack(
        interface_id,
        (now_ns + EPOCH_NS) >> 32,
        (now_ns + EPOCH_NS) & 0xFFFFFFFF,
        len(captured),
        length,
    )
    return block(BLOCK_ENHANCED_PACKET, head + padded(captured) + b"".join(options) + OPTIONS_END)


def name_resolution(names: Sequence[tuple[bytes, Sequence[str]]]) -> bytes:
    """Return a Name Resolution Block for (address of 4 or 16 bytes, its names); the first name is the one shown.

    Wireshark shows the last name it reads of an address, so the names are written in reverse order.
    """
    records = []
    for address, aliases in names:
        assert len(address) in (4, 16), f"an address of {len(address)} bytes"
        kind = NRB_RECORD_IPV4 if len(address) == 4 else NRB_RECORD_IPV6
        for alias in reversed(aliases):
            value = address + alias.encode("utf-8", "replace").replace(b"\0", b"") + b"\0"
            assert len(value) <= NAME_RECORD_LENGTH_MAX, f"a name of {len(alias)} characters"
            records.append(option(kind, value))
    return block(BLOCK_NAME_RESOLUTION, b"".join(records) + OPTIONS_END)


def interface_statistics(interface_id: int, start_ns: int, end_ns: int, received: int, dropped: int) -> bytes:
    """Return the Interface Statistics Block: from when to when was captured, frames seen and frames missed."""
    body = _U32.pack(interface_id) + timestamp(end_ns)
    options = (
        option(ISB_STARTTIME, timestamp(start_ns)),
        option(ISB_ENDTIME, timestamp(end_ns)),
        option(ISB_IFRECV, _U64.pack(received)),
        option(ISB_IFDROP, _U64.pack(dropped)),
        OPTIONS_END,
    )
    return block(BLOCK_INTERFACE_STATISTICS, body + b"".join(options))
