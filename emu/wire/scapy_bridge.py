"""The only module that imports Scapy: packets to bytes and back, and where a packet's fields lie in its bytes.

Scapy is imported on first use, and only the layers that are needed: `scapy.all` is slow and heavy, the layers used
here take about 0.2 s. Some of Scapy's defaults (Ether.src, IP.src, ARP.hwsrc, ICMP time stamps, ...) are worked out
when a packet is built, from the machine it runs on: what an emulation sends must not depend on that, so packets
with such a field unset are refused.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple

from emu.kernel.errors import InvalidValue, NotSupported

COMPUTED_FIELDS: dict[str, tuple[str, ...]] = {
    "ARP": ("hwlen", "plen"),
    "IP": ("ihl", "len", "chksum"),
    "UDP": ("len", "chksum"),
    "ICMP": ("chksum", "extpad", "ext"),
    "TCP": ("dataofs", "chksum"),
}
"""Fields that may be left to Scapy, because it computes them from the packet alone."""

_ALL_ONES = {"MACField": "ff:ff:ff:ff:ff:ff", "IPField": "255.255.255.255"}
_ALL_ZEROS = {"MACField": "00:00:00:00:00:00", "IPField": "0.0.0.0"}
_CLOCK_FIELDS = ("ICMPTimeStampField",)
"""Kinds of fields whose default is the time of day."""


class FieldPosition(NamedTuple):
    """Where a field lies in a built packet, in bits: `first_bit` from the start, `width`."""

    first_bit: int
    width: int


class LayerLayout(NamedTuple):
    """Where a layer lies in a built packet, and what Scapy computes for it.

    name: Scapy's class name. offset, header_length: in bytes (options included, payload not).
    automatic: those of the computed fields that the packet leaves open.
    """

    name: str
    offset: int
    header_length: int
    automatic: frozenset[str]


@lru_cache(maxsize=1)
def layers() -> SimpleNamespace:
    """Give the Scapy classes that emu uses: Ether, ARP, IP, ICMP, UDP, TCP, Raw, Packet, IPOption."""
    layer_2 = import_module("scapy.layers.l2")
    inet = import_module("scapy.layers.inet")
    packet = import_module("scapy.packet")
    return SimpleNamespace(
        Ether=layer_2.Ether,
        ARP=layer_2.ARP,
        IP=inet.IP,
        ICMP=inet.ICMP,
        UDP=inet.UDP,
        TCP=inet.TCP,
        IPOption=inet.IPOption,
        Raw=packet.Raw,
        Packet=packet.Packet,
    )


def packet_from_bytes(data: bytes) -> Any:
    """Dissect a frame into a Scapy packet that starts with its Ethernet header."""
    return layers().Ether(data)


def packet_to_bytes(packet: Any) -> bytes:
    """Build a Scapy packet's bytes.

    Raises InvalidValue if it is not a Scapy packet, or if a field that Scapy would fill in from the machine it runs
    on is not set; the message names the field.
    """
    require_set_fields(packet)
    return bytes(packet)


def open_fields(packet: Any) -> list[str]:
    """List the fields that Scapy would fill in from the machine it runs on or at random, such as "Ether.src"."""
    found = []
    for layer in _layers_of(packet):
        computed = COMPUTED_FIELDS.get(type(layer).__name__, ())
        for field in layer.fields_desc:
            plain, applies = _unwrap(field, layer)
            if applies and plain.name not in computed and _is_open(layer, plain):
                found.append(f"{type(layer).__name__}.{plain.name}")
    return found


def require_set_fields(packet: Any) -> None:
    """Raise InvalidValue unless the packet is a Scapy packet whose bytes don't depend on the machine or on chance."""
    if not isinstance(packet, layers().Packet):
        raise InvalidValue(f"expected a Scapy packet such as Ether()/IP()/UDP(), got {type(packet).__name__}")
    found = open_fields(packet)
    if found:
        raise InvalidValue(
            f"{found[0]} is not set: Scapy would take it from the machine it runs on or at random; give it a value"
        )


def split_payload(packet: Any) -> tuple[bytes, bytes]:
    """Build a packet and cut it into headers and payload, which is what its last layer carries if that is Raw."""
    built = bytes(packet)
    last = packet.lastlayer()
    payload = bytes(last) if isinstance(last, layers().Raw) else b""
    cut = len(built) - len(payload)
    return built[:cut], built[cut:]


def layouts(packet: Any) -> list[LayerLayout]:
    """Say where each layer of a packet lies, from the outermost to the innermost header; Raw is left out."""
    total = len(bytes(packet))
    found: list[LayerLayout] = []
    chain = [layer for layer in _layers_of(packet) if not isinstance(layer, layers().Raw)]
    for layer in chain:
        length = len(bytes(layer))
        computed = COMPUTED_FIELDS.get(type(layer).__name__, ())
        automatic = frozenset(
            name for name in computed if name in _field_names(layer) and layer.getfieldval(name) is None
        )
        header_length = length - len(bytes(layer.payload))
        found.append(LayerLayout(type(layer).__name__, total - length, header_length, automatic))
    return found


def field_position(packet: Any, layer_class: Any, field_name: str, occurrence: int = 1) -> FieldPosition:
    """Find the bits of one field in a packet's bytes, by building it with all zeros and with all ones there.

    layer_class: such as `IP`. occurrence: 2 for the second IP header of an encapsulated packet, and so on.
    Raises InvalidValue if the packet has no such layer or field; NotSupported if the field has no fixed place.
    """
    probe = _frozen_copy(packet)
    layer = probe.getlayer(layer_class, nb=occurrence)
    label = f"{getattr(layer_class, '__name__', layer_class)}.{field_name}"
    if layer is None or field_name not in _field_names(layer):
        raise InvalidValue(f"the packet {packet.summary()!r} has no field {label}")
    plain, applies = _unwrap(layer.get_field(field_name), layer)
    if not applies:
        raise InvalidValue(f"{label} does not exist in this kind of packet: {packet.summary()!r}")
    zeros, ones, width = _extremes(plain, label)
    setattr(layer, field_name, zeros)
    built_zeros = bytes(probe)
    setattr(layer, field_name, ones)
    built_ones = bytes(probe)
    changed = int.from_bytes(built_zeros, "big") ^ int.from_bytes(built_ones, "big")
    trailing = (changed & -changed).bit_length() - 1
    if len(built_zeros) != len(built_ones) or changed >> max(trailing, 0) != (1 << width) - 1:
        raise NotSupported(f"{label} can't vary in a template: its value changes more than its own bits")
    return FieldPosition(len(built_ones) * 8 - trailing - width, width)


def _extremes(field: Any, label: str) -> tuple[Any, Any, int]:
    """The values of a field whose bits are all zeros and all ones, and its width in bits."""
    for ancestor in type(field).__mro__:
        if ancestor.__name__ in _ALL_ONES:
            return _ALL_ZEROS[ancestor.__name__], _ALL_ONES[ancestor.__name__], field.sz * 8
    width = field.size if hasattr(field, "size") else field.sz * 8
    if isinstance(field.default, (str, bytes, list)) or width != int(width) or width <= 0:
        raise NotSupported(f"{label} can't vary in a template: only numbers and addresses can")
    return 0, (1 << int(width)) - 1, int(width)


def is_packet(value: object) -> bool:
    """Tell whether something is a Scapy packet, without importing Scapy for the question."""
    return "scapy.packet" in sys.modules and isinstance(value, layers().Packet)


def layer_names(packet: Any) -> str:
    """Say what a packet consists of: "IP/ICMP/Raw". (Scapy's own summary asks the machine it runs on for names.)"""
    return "/".join(type(layer).__name__ for layer in _layers_of(packet))


def _frozen_copy(packet: Any) -> Any:
    """A copy whose lengths and checksums stay put while another field is probed."""
    copy = packet.copy()
    for layer in _layers_of(copy):
        for name in COMPUTED_FIELDS.get(type(layer).__name__, ()):
            if name in ("len", "chksum") and layer.getfieldval(name) is None:
                setattr(layer, name, 0)
    return copy


def _layers_of(packet: Any) -> list[Any]:
    """The packet's layers, outermost first."""
    found = []
    layer = packet
    while layer:
        found.append(layer)
        layer = layer.payload
    return found


def _field_names(layer: Any) -> list[str]:
    return [field.name for field in layer.fields_desc]


def _unwrap(field: Any, layer: Any) -> tuple[Any, bool]:
    """The field inside Scapy's wrappers, and whether it exists in a layer of this kind."""
    while True:
        condition = getattr(field, "cond", None)
        if condition is not None and not condition(layer):
            return field, False
        choose = getattr(field, "_find_fld_pkt_val", None)
        inner = choose(layer, layer.fields.get(field.name))[0] if choose else getattr(field, "fld", None)
        if inner is None:
            return field, True
        field = inner


def _is_open(layer: Any, field: Any) -> bool:
    """True if Scapy chooses the value when it builds: no value and no constant default, or a random one."""
    default = None if type(field).__name__ in _CLOCK_FIELDS else field.default
    value = layer.fields.get(field.name, layer.overloaded_fields.get(field.name, default))
    return value is None or any(kind.__name__ == "VolatileValue" for kind in type(value).__mro__)
