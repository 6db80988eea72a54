"""ARP for IPv4 over Ethernet (RFC 826): answering, learning, asking and announcing, as Linux does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.kernel.errors import InvalidValue
from emu.stack.neighbour import REACHABLE, STALE
from emu.wire.address import BROADCAST_MAC, ZERO_MAC, ipv4_to_bytes, ipv4_to_text
from emu.wire.drop import DropReason
from emu.wire.frame import Frame

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace
    from emu.stack.neighbour import Neighbour

_ETHERTYPE_ARP = b"\x08\x06"
_FIXED = b"\x00\x01\x08\x00\x06\x04"  # Ethernet, IPv4, lengths 6 and 4
_REQUEST = b"\x00\x01"
_REPLY = b"\x00\x02"
_NO_ADDRESS = b"\0\0\0\0"
ARP_FRAME_LENGTH = 42
ANNOUNCE_COUNT_MAX = 100


def build_arp(
    operation: bytes,
    destination_mac: bytes,
    sender_mac: bytes,
    sender_ip: bytes,
    target_mac: bytes,
    target_ip: bytes,
) -> bytes:
    """Return the 42 bytes of an ARP frame; Linux adds no padding (FACT 14)."""
    return b"".join(
        (
            destination_mac,
            sender_mac,
            _ETHERTYPE_ARP,
            _FIXED,
            operation,
            sender_mac,
            sender_ip,
            target_mac,
            target_ip,
        )
    )


def receive_arp(interface: Interface, frame: Frame) -> None:
    """Take in an ARP frame that arrived on an interface."""
    data = frame.data
    if len(data) < ARP_FRAME_LENGTH or data[14:20] != _FIXED:
        interface.device.drop(frame, DropReason.MALFORMED)
        return
    operation = data[20:22]
    if operation != _REQUEST and operation != _REPLY:
        interface.device.drop(frame, DropReason.MALFORMED)
        return
    sender_mac = data[22:28]
    sender_ip = data[28:32]
    target_ip = data[38:42]
    if target_ip[0] & 0xF0 == 0xE0 or target_ip[0] == 127 or interface.is_loopback:
        return  # nobody is asked for these
    if operation == _REQUEST and interface.namespace.is_local_address(target_ip):
        if sender_ip == _NO_ADDRESS:  # somebody probes whether the address is in use (RFC 5227)
            _reply(interface, frame, sender_mac, sender_ip, target_ip)
            return
        if not interface.namespace.is_local_address(sender_ip):
            # A question to us makes the asker known, and only that creates entries (arp_accept=0, FACT 15).
            if _is_unicast_source(sender_ip):
                interface.neighbour(sender_ip).update(sender_mac, STALE, override=True)
                _reply(interface, frame, sender_mac, sender_ip, target_ip)
            return
    _learn(interface, data, operation, sender_mac, sender_ip, target_ip)


def _is_unicast_source(address: bytes) -> bool:
    return address[0] not in (0, 127) and address[0] < 224


def _learn(
    interface: Interface, data: bytes, operation: bytes, sender_mac: bytes, sender_ip: bytes, target_ip: bytes
) -> None:
    """Let an existing entry know what a reply, or a request to somebody else, says about its sender (FACT 21)."""
    entry = interface.neighbours.get(sender_ip)
    if entry is None:
        return
    gratuitous = sender_ip == target_ip and (operation == _REQUEST or data[32:38] == sender_mac)
    age_ns = interface.kernel.now - entry.updated_ns
    override = gratuitous or age_ns > interface.neighbour_settings.locktime_ns
    is_answer = operation == _REPLY and not data[0] & 1
    entry.update(sender_mac, REACHABLE if is_answer else STALE, override)


def _reply(interface: Interface, request: Frame, mac: bytes, sender_ip: bytes, own_ip: bytes) -> None:
    kernel = interface.kernel
    packet_id = kernel.next_packet_id()
    kernel.journal.caused(packet_id, request.packet_id)
    data = build_arp(_REPLY, mac, interface.device.mac, own_ip, mac, sender_ip)
    interface.start_transmit(Frame(data, packet_id))


def solicit(interface: Interface, neighbour: Neighbour, mac: bytes | None, packet: bytes | None) -> None:
    """Ask who has the neighbour's address: everybody, or with `mac` only the one that had it before.

    packet: the packet that waits; its source address is used when it is ours (arp_announce=0).
    """
    target_ip = neighbour.address
    source = None
    if packet is not None and interface.namespace.is_local_address(packet[12:16]):
        source = packet[12:16]
    if source is None:
        source = interface.select_source(target_ip) or _NO_ADDRESS
    data = build_arp(_REQUEST, mac or BROADCAST_MAC, interface.device.mac, source, ZERO_MAC, target_ip)
    interface.start_transmit(Frame(data, interface.kernel.next_packet_id()))


def announce(namespace: Namespace, device: NetDevice, address: str, count: int, interval_ns: int) -> None:
    """Send gratuitous ARP requests (RFC 5227, section 2.3): the first at once, the others `interval_ns` apart.

    count: 0 to 100; 0 sends nothing. interval_ns: at least 1. Docker engines from 28 on send 3, one second apart
    (FACT 11). They stop when the device leaves the namespace or loses the address.
    Raises InvalidValue for values out of range, NotFound for an address that the device does not have.
    """
    if not 0 <= count <= ANNOUNCE_COUNT_MAX:
        raise InvalidValue(f"announcements: expected a count of 0 to {ANNOUNCE_COUNT_MAX}, got {count}")
    if interval_ns < 1:
        raise InvalidValue(f"announcements: expected an interval of at least 1 ns, got {interval_ns}")
    interface = namespace.interface(device)
    address_bytes = ipv4_to_bytes(address.partition("/")[0])
    if not any(entry.address == address_bytes for entry in interface.addresses):
        raise InvalidValue(f"cannot announce {ipv4_to_text(address_bytes)}: {device.name} does not have that address")
    if count:
        _announce_once((interface, address_bytes, count, interval_ns))


def _announce_once(task: tuple[Interface, bytes, int, int]) -> None:
    interface, address, count, interval_ns = task
    if not any(entry.address == address for entry in interface.addresses):
        return
    device = interface.device
    if device.is_up:
        data = build_arp(_REQUEST, BROADCAST_MAC, device.mac, address, ZERO_MAC, address)
        interface.start_transmit(Frame(data, interface.kernel.next_packet_id()))
    if count > 1:
        interface.kernel.call_later(interval_ns, _announce_once, (interface, address, count - 1, interval_ns))
