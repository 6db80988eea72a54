"""Hypothesis strategies for addresses, ports and payloads, and the Scapy classes that serve as the oracle."""

from hypothesis import strategies as st

from emu.wire.address import ipv4_to_text, mac_to_text
from emu.wire.scapy_bridge import layers

SCAPY = layers()

macs = st.binary(min_size=6, max_size=6)
addresses = st.binary(min_size=4, max_size=4)
bytes_8 = st.integers(0, 0xFF)
words = st.integers(0, 0xFFFF) | st.sampled_from((0, 1, 0xFFFE, 0xFFFF))
payloads = st.binary(max_size=80) | st.integers(0, 1500).map(bytes)
option_bytes = st.sampled_from(
    (b"", b"\x94\x04\x00\x00", b"\x01\x01\x01\x00", b"\x07\x07\x04" + bytes(5), b"\x01" * 40)
)


def scapy_ether(destination: bytes, source: bytes, kind: int):
    return SCAPY.Ether(dst=mac_to_text(destination), src=mac_to_text(source), type=kind)


def scapy_ip(source: bytes, destination: bytes, protocol: int, options: bytes = b"", **fields):
    fields = {"version": 4, "tos": 0, "id": 0, "flags": 0, "frag": 0, "ttl": 64} | fields
    packet = SCAPY.IP(src=ipv4_to_text(source), dst=ipv4_to_text(destination), proto=protocol, **fields)
    packet.options = [_RawOption(options)] if options else []
    return packet


class _RawOption(SCAPY.Packet):
    """Option bytes that Scapy puts into the header as they are."""

    name = "option bytes"
    fields_desc = []

    def __init__(self, data: bytes = b"", **kwargs):
        super().__init__(**kwargs)
        self.raw_bytes = data

    def build(self):
        return self.raw_bytes

    def copy(self):
        return _RawOption(self.raw_bytes)

    def __bytes__(self):
        return self.raw_bytes
