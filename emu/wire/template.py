"""Templates: a Scapy packet built once, then stamped again and again with other values.

Building a packet with Scapy takes hundreds of microseconds, stamping a template about two. A template keeps the
headers as one big integer; a field is a shift and a width in it, so fields of any size at any bit need no special
case. Lengths and checksums that the Scapy packet leaves open (None) are filled in at every stamp, as Scapy would:
the IPv4 header's, UDP's and ICMP's (RFC 791, 768, 792). Those that the packet sets stay as they are.

The compiler finds fields by building probes and checks itself: the first stamp must equal what Scapy builds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from emu.kernel.errors import InvalidValue, NotSupported
from emu.wire import scapy_bridge
from emu.wire.checksum import checksum_sum
from emu.wire.scapy_bridge import LayerLayout

FieldValue = int | bytes

_MASK_32 = 0xFFFFFFFF


class _Field(NamedTuple):
    """A varying field: its place in the header integer and the value that is in there now."""

    shift: int
    width: int
    value: int


class _Length(NamedTuple):
    """A length field: `constant` plus the payload's length goes to `shift`."""

    shift: int
    constant: int


class _Checksum(NamedTuple):
    """A checksum field at `shift` over `(header >> region_shift) & region_mask`.

    protocol: for the pseudo header (0: none), whose addresses start at `addresses_shift`; length_constant: what is
    added to the payload's length for its length. covers_payload: the region goes on into the payload.
    odd: 1 if the header part of the region has an odd number of bytes.
    """

    shift: int
    region_shift: int
    region_mask: int
    covers_payload: bool
    odd: int
    protocol: int
    addresses_shift: int
    length_constant: int


class Template:
    """A compiled packet: `stamp` gives its bytes with other values for the fields that vary.

    packet: a Scapy packet. Every field that Scapy would otherwise take from the machine must be set. If its last
    layer is Raw, that is the payload used when `stamp` gets none.
    vary: what may change, by a name of your choice: `{"ttl": (IP, "ttl")}`, with a third item 2 for the second such
    layer of an encapsulated packet.

    Raises InvalidValue for a field that is unset or doesn't exist, and NotSupported for one without a fixed place and
    for open checksums of layers whose checksum isn't built yet.
    Limits: options and other fields of variable length can't vary; TCP is compiled once TCP is built.
    """

    __slots__ = ("_checksums", "_fields", "_header", "_header_length", "_lengths", "_payload")

    _header: int
    _header_length: int
    _payload: bytes
    _fields: dict[str, _Field]
    _lengths: tuple[_Length, ...]
    _checksums: tuple[_Checksum, ...]

    def __init__(self, packet: Any, vary: dict[str, tuple[Any, ...]] | None = None) -> None:
        scapy_bridge.require_set_fields(packet)
        header, payload = scapy_bridge.split_payload(packet)
        layouts = scapy_bridge.layouts(packet)
        self._header_length = len(header)
        self._payload = payload
        self._lengths = tuple(_find_lengths(layouts, len(header)))
        self._checksums = tuple(reversed(list(_find_checksums(layouts, header))))
        image = int.from_bytes(header, "big")
        for shift in [length.shift for length in self._lengths] + [item.shift for item in self._checksums]:
            image &= ~(0xFFFF << shift)
        self._header = image
        self._fields = {}
        for name, place in (vary or {}).items():
            self._fields[name] = self._find_field(packet, name, place)
        built = bytes(packet)
        stamped = self.stamp()
        assert stamped == built, f"template {packet.summary()!r}: {stamped.hex()} is not {built.hex()}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields that vary, in the order they were given."""
        return tuple(self._fields)

    def stamp(self, payload: bytes | None = None, **values: FieldValue) -> bytes:
        """Give the packet's bytes with these field values, and with lengths and checksums to match.

        payload: what follows the headers (None: the payload of the compiled packet).
        values: numbers, or bytes for addresses, by the names given to `vary`; what is not named keeps its value.
        Raises InvalidValue for an unknown name, a number that does not fit its field, or a payload that is too long.
        """
        if payload is None:
            payload = self._payload
        header = self._apply(values) if values else self._header
        payload_length = len(payload)
        for shift, constant in self._lengths:
            length = constant + payload_length
            if length > 0xFFFF:
                raise InvalidValue(
                    f"a payload of {payload_length} bytes is too long: {length} doesn't fit a length field"
                )
            header |= length << shift
        if self._checksums:
            header = self._add_checksums(header, payload, payload_length)
        return header.to_bytes(self._header_length, "big") + payload

    def bind(self, **values: FieldValue) -> Template:
        """Give a template in which these fields have these values for good; the others still vary.

        This needs no Scapy and takes microseconds: compile one template for all flows, bind it for each flow.
        """
        bound = object.__new__(Template)
        bound._header = self._apply(values)
        bound._header_length = self._header_length
        bound._payload = self._payload
        bound._lengths = self._lengths
        bound._checksums = self._checksums
        bound._fields = {name: field for name, field in self._fields.items() if name not in values}
        return bound

    def _apply(self, values: dict[str, FieldValue]) -> int:
        header = self._header
        fields = self._fields
        for name, given in values.items():
            field = fields.get(name)
            if field is None:
                raise InvalidValue(f"the template has no varying field {name!r}: it has {', '.join(fields) or 'none'}")
            shift, width, present = field
            value = given if isinstance(given, int) else int.from_bytes(given, "big")
            if value >> width or (not isinstance(given, int) and len(given) * 8 != width):
                raise InvalidValue(f"{name}={given!r} does not fit its field of {width} bits")
            header ^= (value ^ present) << shift
        return header

    def _add_checksums(self, header: int, payload: bytes, payload_length: int) -> int:
        """Fill in the checksums from the innermost outwards, because outer ones cover inner ones."""
        payload_sum = -1
        for item in self._checksums:
            total = (header >> item.region_shift) & item.region_mask
            if item.covers_payload:
                if payload_sum < 0:
                    payload_sum = checksum_sum(payload)
                total = (total << 8) + (payload_sum << 8) if item.odd else total + payload_sum
            if item.protocol:
                addresses = header >> item.addresses_shift
                total += (addresses & _MASK_32) + (addresses >> 32 & _MASK_32)
                total += item.protocol + item.length_constant + payload_length
                header |= (65535 - total % 65535) << item.shift
            else:
                header |= (-total % 65535 if total else 0xFFFF) << item.shift
        return header

    def _find_field(self, packet: Any, name: str, place: tuple[Any, ...]) -> _Field:
        first_bit, width = scapy_bridge.field_position(packet, *place)
        shift = self._header_length * 8 - first_bit - width
        if shift < 0:
            raise InvalidValue(f"{name!r} lies in the payload: pass another payload to stamp() instead")
        mask = (1 << width) - 1
        computed = [length.shift for length in self._lengths] + [item.shift for item in self._checksums]
        if any(shift <= other < shift + width for other in computed):
            raise InvalidValue(f"{name!r} is computed at every stamp: give it a value in the packet if it shall vary")
        return _Field(shift, width, self._header >> shift & mask)


def _find_lengths(layouts: list[LayerLayout], end: int) -> list[_Length]:
    """The open length fields of IP (bytes 2-3) and UDP (bytes 4-5)."""
    field_offsets = {"IP": 2, "UDP": 4}
    return [
        _Length((end - layout.offset - field_offsets[layout.name] - 2) * 8, end - layout.offset)
        for layout in layouts
        if "len" in layout.automatic
    ]


def _find_checksums(layouts: list[LayerLayout], header: bytes) -> list[_Checksum]:
    """The open checksum fields, outermost first: IP's over its own header, UDP's and ICMP's over all that follows."""
    end = len(header)
    found = []
    for below, layout in zip([None, *layouts], layouts, strict=False):
        if "chksum" not in layout.automatic:
            continue
        start = layout.offset
        rest = end - start
        if layout.name == "IP":
            mask = (1 << layout.header_length * 8) - 1
            shift = (rest - layout.header_length) * 8
            found.append(_Checksum((rest - 12) * 8, shift, mask, False, 0, 0, 0, 0))
        elif layout.name == "ICMP":
            found.append(_Checksum((rest - 4) * 8, 0, (1 << rest * 8) - 1, True, rest & 1, 0, 0, 0))
        elif layout.name == "UDP" and below is not None and below.name == "IP":
            addresses_shift = (end - below.offset - 20) * 8
            mask = (1 << rest * 8) - 1
            found.append(_Checksum((rest - 8) * 8, 0, mask, True, rest & 1, 17, addresses_shift, rest))
        else:
            raise NotSupported(f"templates don't compute the checksum of {layout.name} here: set its chksum field")
    return found
