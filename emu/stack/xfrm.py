"""IPsec of one namespace, as far as Docker's encrypted overlays need it: ESP in transport mode for tunnels over UDP.

Going out, a mark says which VNIs are to be encrypted (Docker: a rule in the mangle table), and a policy says with which
security association for which destination. Coming in, the SPI says which association decrypts; then the packet inside
is taken in as if it had come so. What comes for such a VNI in the clear is dropped (Docker: a rule in the INPUT chain).
Source: libnetwork overlay/encryption.go.

Limits: no tunnel mode, no policies for forwarded or received packets, nor for what programs' own sockets send; no
extended sequence numbers, no lifetimes. A packet that a policy applies to and no association fits is dropped at once,
as if nobody listened for acquire messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emu.kernel.errors import Conflict, NotFound
from emu.stack import xfrm_text
from emu.stack.xfrm_flow import EncryptedDevice
from emu.stack.xfrm_guard import CleartextGuard
from emu.stack.xfrm_state import SecurityAssociation
from emu.wire.checksum import internet_checksum
from emu.wire.drop import DropReason
from emu.wire.esp import PROTOCOL_ESP
from emu.wire.frame import Frame
from emu.wire.vxlan import build_vxlan_header

if TYPE_CHECKING:
    from emu.stack.icmp import IcmpError
    from emu.stack.interface import Interface
    from emu.stack.namespace import Namespace
    from emu.stack.output import Path

PACKET_MAX = 65535
DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED = 3, 4

PolicyKey = tuple[bytes, bytes, int]
"""Source, destination, UDP destination port."""


class Xfrm:
    """The security associations and policies of one namespace.

    states: by destination address and SPI. policies: source, destination and UDP port -> SPI to send with.
    history: every association there ever was, in order, for whoever wants to decrypt a capture.
    is_inside: whether what is being taken in came out of an ESP packet.
    """

    __slots__ = ("_decrypt_ns", "_encrypt_ns", "_guards", "_marks", "_namespace", "_per_kib_ns", "history", "is_inside",
                 "policies", "states")  # fmt: skip

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._marks: dict[tuple[int, bytes], int] = {}
        self._guards: dict[int, CleartextGuard] = {}
        self.states: dict[tuple[bytes, int], SecurityAssociation] = {}
        self.policies: dict[PolicyKey, int] = {}
        self.history: list[SecurityAssociation] = []
        self.is_inside = False
        costs: Any = None if namespace.cpu is None else namespace.cpu.costs
        self._encrypt_ns: int = 0 if costs is None else costs.esp_encrypt
        self._decrypt_ns: int = 0 if costs is None else costs.esp_decrypt
        self._per_kib_ns: int = 0 if costs is None else costs.esp_per_kib

    # -- associations and policies ------------------------------------------------------------------------------------

    def add_state(
        self, source: bytes, destination: bytes, spi: int, key: bytes, *, replay_window: int = 0
    ) -> SecurityAssociation:
        """Add a security association, as `ip xfrm state add` does; its salt is the SPI.

        source, destination: 4-byte addresses. key: 16 bytes. replay_window: packets, 0 to 32; 0, as Docker has it,
        accepts old sequence numbers. Raises Conflict when the destination has one with this SPI already.
        Raises EmuError when the package for the cipher is missing.
        """
        if (destination, spi) in self.states:
            raise Conflict(f"{self._namespace.name} has a security association with SPI 0x{spi:08x}: file exists")
        stream = self._namespace.kernel.random(f"ESP of {self._namespace.name}")
        iv_salt = stream.getrandbits(64)
        state = SecurityAssociation(source, destination, spi, key, iv_salt=iv_salt, replay_window=replay_window)
        self.states[destination, spi] = state
        self.history.append(state)
        self._namespace.ipv4.handlers[PROTOCOL_ESP] = self.receive
        self._namespace.icmp.error_handlers[PROTOCOL_ESP] = self.error_arrived
        self._namespace.flush_caches()
        return state

    def remove_state(self, destination: bytes, spi: int) -> None:
        """Remove a security association; raises NotFound when there is none."""
        if self.states.pop((destination, spi), None) is None:
            raise NotFound(f"{self._namespace.name} has no security association with SPI 0x{spi:08x}")
        self._namespace.flush_caches()

    def set_policy(self, source: bytes, destination: bytes, port: int, spi: int) -> None:
        """Let marked datagrams for a UDP port of a destination be encrypted; an earlier policy is replaced."""
        self.policies[source, destination, port] = spi
        self._namespace.flush_caches()

    def remove_policy(self, source: bytes, destination: bytes, port: int) -> None:
        """Remove a policy; raises NotFound when there is none."""
        if self.policies.pop((source, destination, port), None) is None:
            raise NotFound(f"{self._namespace.name} has no such policy")
        self._namespace.flush_caches()

    def state_text(self) -> str:
        """Return what `ip xfrm state` prints."""
        return xfrm_text.states(self)

    def policy_text(self) -> str:
        """Return what `ip xfrm policy` prints."""
        return xfrm_text.policies(self)

    # -- which VNIs ---------------------------------------------------------------------------------------------------

    def secure_vni(self, port: int, vni: int) -> None:
        """Mark what is sent for a VNI, so that policies apply, and refuse what comes for it in the clear.

        port: of VXLAN. To be undone as often as it was done.
        """
        header = build_vxlan_header(vni)
        self._marks[port, header] = self._marks.get((port, header), 0) + 1
        guard = self._guards.get(port)
        if guard is None:
            guard = self._guards[port] = CleartextGuard(self)
            self._namespace.tunnels.set_guard(port, guard)
        guard.headers.add(header)
        self._namespace.flush_caches()

    def release_vni(self, port: int, vni: int) -> None:
        """Undo `secure_vni`."""
        header = build_vxlan_header(vni)
        self._marks[port, header] -= 1
        if self._marks[port, header]:
            return
        del self._marks[port, header]
        self._guards[port].headers.remove(header)
        self._namespace.flush_caches()

    # -- sending ------------------------------------------------------------------------------------------------------

    def outbound(
        self, source: bytes, destination: bytes, port: int, header: bytes
    ) -> SecurityAssociation | DropReason | None:
        """Return the association that a tunnel's datagram is encrypted with; None for none, a reason to drop it.

        header: the first eight bytes that the datagram carries.
        """
        if (port, header) not in self._marks:
            return None
        spi = self.policies.get((source, destination, port))
        if spi is None:
            return None
        return self.states.get((destination, spi), DropReason.ESP_NO_STATE)

    def encrypt(self, packet: bytes, state: SecurityAssociation) -> bytes | DropReason:
        """Return an IPv4 packet in ESP, or why that is not possible: what follows the IP header is encrypted.

        packet: without IP options.
        """
        cpu = self._namespace.cpu
        if cpu is not None:
            cpu.busy_until_ns += self._encrypt_ns + (len(packet) * self._per_kib_ns >> 10)
        sealed = state.seal(packet[20:], packet[9])
        if sealed is None:
            return DropReason.ESP_SEQUENCE_END
        if len(sealed) + 20 > PACKET_MAX:
            return DropReason.VXLAN_TOO_BIG
        return _with_protocol(packet[:20], PROTOCOL_ESP, sealed)

    def device_for(
        self, path: Path, destination: bytes, port: int, header: bytes
    ) -> EncryptedDevice | DropReason | None:
        """Return what stands for the device of a path where packets are encrypted; see `outbound`."""
        state = self.outbound(path.source, destination, port, header)
        if isinstance(state, SecurityAssociation):
            return EncryptedDevice(self, state, path)
        return state

    # -- receiving ----------------------------------------------------------------------------------------------------

    def receive(self, interface: Interface, frame: Frame, is_broadcast: bool) -> None:
        """Take in a whole ESP packet; what is inside goes through IP input as if it had come without."""
        data = frame.data
        start = 14 + (data[14] & 15) * 4
        if len(data) < start + 8:
            interface.device.drop(frame, DropReason.ESP_TRUNCATED)
            return
        state = self.states.get((data[30:34], int.from_bytes(data[start : start + 4], "big")))
        if state is None or self.is_inside:
            interface.device.drop(frame, DropReason.ESP_NO_STATE)
            return
        cpu = self._namespace.cpu
        if cpu is not None:
            cpu.busy_until_ns += self._decrypt_ns + (len(data) * self._per_kib_ns >> 10)
        opened = state.open(data[start:])
        if isinstance(opened, DropReason):
            interface.device.drop(frame, opened)
            return
        next_header, payload = opened
        packet = _with_protocol(data[14:start], next_header, payload)
        self.is_inside = True
        try:
            interface.receive(Frame(data[:14] + packet, frame.packet_id, frame.altered))
        finally:
            self.is_inside = False

    def error_arrived(self, error: IcmpError) -> None:
        """Learn the path MTU from an ICMP error about an ESP packet."""
        if error.icmp_type == DESTINATION_UNREACHABLE and error.code == FRAGMENTATION_NEEDED:
            self._namespace.learn_pmtu(error.quoted[16:20], error.information)


def _with_protocol(header: bytes, protocol: int, payload: bytes) -> bytes:
    """Return a packet with the header of another one, a new protocol, length and checksum."""
    total = len(header) + len(payload)
    head = header[:2] + total.to_bytes(2, "big") + header[4:9] + bytes((protocol, 0, 0)) + header[12:]
    return head[:10] + internet_checksum(head).to_bytes(2, "big") + head[12:] + payload
