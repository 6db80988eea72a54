"""The probes of `traceroute`: what is sent with a small TTL, and which answers belong to it (UDP, ICMP, TCP)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Protocol

from emu.stack.output import os_error
from emu.traffic.traceroute_text import error_mark
from emu.wire.address import ipv4_to_bytes, ipv4_to_text
from emu.wire.checksum import internet_checksum, pseudo_header_sum
from emu.wire.ipv4 import PROTOCOL_TCP

if TYPE_CHECKING:
    from simpy.events import Event

    from emu.stack import Namespace
    from emu.stack.icmp import IcmpError
    from emu.stack.udp_socket import UdpSocket

Answered = Callable[["Probe", str, str, bool], None]
"""Told about an answer: the probe, who sent it, the mark to print, and whether the trace ends at this hop."""
_pack_tcp = Struct("!HHIIBBHHH").pack
_SYN, _ACK, _RST = 0x02, 0x10, 0x04
_SYN_WINDOW = 5840
_SYN_OPTIONS = Struct("!BBHBBBBIIBBBB").pack
SYN_BYTES = 40


@dataclass(slots=True)
class Probe:
    """One probe on its way: index from 0, its TTL, when it left, and what came back."""

    index: int
    ttl: int
    sent_ns: int | None = None
    address: str | None = None
    rtt_ns: int | None = None
    mark: str = ""
    done: bool = False
    final: bool = False


class ProbeMethod(Protocol):
    """A way of probing."""

    def send(self, probe: Probe) -> None:
        """Send a probe; raises OSError when there is no way to the target."""

    def close(self) -> None:
        """Give back everything that is open."""


def payload(size: int) -> bytes:
    """Return the data of a probe: 0x40, 0x41, …"""
    return bytes(0x40 + (index & 0x3F) for index in range(size))


class UdpProbes:
    """A datagram from a socket of its own to the next port for each probe; port unreachable says "arrived"."""

    def __init__(
        self, namespace: Namespace, address: str, port: int, data_bytes: int, tos: int, answered: Answered
    ) -> None:
        self._namespace = namespace
        self._address = address
        self._port = port
        self._payload = payload(data_bytes)
        self._tos = tos
        self._answered = answered
        self._sockets: list[UdpSocket] = []

    def send(self, probe: Probe) -> None:
        """Send a datagram to the port that belongs to the probe."""
        socket = self._namespace.udp_socket()
        socket.receive_errors = True
        socket.dont_fragment = False
        socket.ttl = probe.ttl
        socket.tos = self._tos
        self._sockets.append(socket)
        port = (self._port + probe.index - 1) % 65535 + 1
        socket.connect(self._address, port)
        waiting = socket.recv()
        assert waiting.callbacks is not None, "nothing can have arrived yet"
        waiting.callbacks.append(lambda event: self._arrived(probe, socket, event))
        socket.send(self._payload)

    def _arrived(self, probe: Probe, socket: UdpSocket, event: Event) -> None:
        """Take what came for a socket: an ICMP error, or data from something that listens there."""
        event.defused = True
        if event.ok:
            self._answered(probe, self._address, "", True)
            return
        while socket.error_queue:
            error = socket.error_queue.popleft()
            if error.offender is not None:
                mark = error_mark(error.icmp_type, error.code, error.information)
                self._answered(probe, error.offender, mark or "", mark is not None)

    def close(self) -> None:
        """Close the sockets."""
        for socket in self._sockets:
            socket.close()


class IcmpProbes:
    """Echo requests with the sequence numbers 1, 2, …; the reply says "arrived"."""

    def __init__(self, namespace: Namespace, address: str, data_bytes: int, tos: int, answered: Answered) -> None:
        self._address = ipv4_to_bytes(address)
        self._payload = payload(data_bytes)
        self._tos = tos
        self._answered = answered
        self._probes: dict[int, Probe] = {}
        self._socket = namespace.ping_socket()
        self._socket.on_reply = self._on_reply
        self._socket.on_error = self._on_error

    def send(self, probe: Probe) -> None:
        """Send an echo request."""
        sequence = (probe.index + 1) & 0xFFFF
        self._probes[sequence] = probe
        self._socket.send_echo(
            self._address, sequence, self._payload, ttl=probe.ttl, dont_fragment="dont", tos=self._tos
        )

    def _on_reply(self, source: bytes, sequence: int, data: bytes, ttl: int) -> None:
        probe = self._probes.get(sequence)
        if probe is not None:
            self._answered(probe, ipv4_to_text(source), "", True)

    def _on_error(self, reporter: bytes, sequence: int, icmp_type: int, code: int, information: int) -> None:
        probe = self._probes.get(sequence)
        if probe is not None:
            mark = error_mark(icmp_type, code, information)
            self._answered(probe, ipv4_to_text(reporter), mark or "", mark is not None)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class TcpProbes:
    """SYN segments to one port, from a source port each; SYN-ACK and RST say "arrived".

    The kernel knows nothing of these connections and resets what answers with SYN-ACK, so nothing stays half open.
    Options and window are those of traceroute's own SYN: MSS 1460, SACK permitted, time stamps, window scale 2.
    """

    def __init__(self, namespace: Namespace, address: str, port: int, tos: int, answered: Answered) -> None:
        self._namespace = namespace
        self._address = ipv4_to_bytes(address)
        self._port = port
        self._tos = tos
        self._answered = answered
        self._random = namespace.kernel.random(f"traceroute of {namespace.name}")
        self._probes: dict[int, Probe] = {}
        self._socket = namespace.raw_socket(PROTOCOL_TCP)
        self._socket.on_packet = self._on_packet
        self._socket.on_error = self._on_error

    def send(self, probe: Probe) -> None:
        """Send a SYN from a port that no other probe uses."""
        source_port = self._free_port()
        self._probes[source_port] = probe
        namespace = self._namespace
        path = namespace.output.path(self._address)
        if isinstance(path, int):
            raise os_error(path)
        options = _SYN_OPTIONS(2, 4, 1460, 4, 2, 8, 10, namespace.kernel.now // 1_000_000, 0, 1, 3, 3, 2)
        sequence = self._random.getrandbits(32)
        segment = _pack_tcp(source_port, self._port, sequence, 0, SYN_BYTES << 2, _SYN, _SYN_WINDOW, 0, 0) + options
        pseudo_sum = pseudo_header_sum(path.source, self._address, PROTOCOL_TCP, len(segment))
        checksum = internet_checksum(segment, pseudo_sum).to_bytes(2, "big")
        self._socket.send(self._address, segment[:16] + checksum + segment[18:], ttl=probe.ttl, tos=self._tos)

    def _free_port(self) -> int:
        sysctl = self._namespace.sysctl
        low, high = sysctl["net.ipv4.ip_local_port_range_min"], sysctl["net.ipv4.ip_local_port_range_max"]
        for _ in range(high - low + 1):
            port = self._random.randint(low, high)
            if port not in self._probes:
                return port
        raise os_error(errno.EADDRINUSE)

    def _on_packet(self, packet: bytes) -> None:
        start = (packet[0] & 15) * 4
        if len(packet) < start + 20 or packet[12:16] != self._address:
            return
        source_port, own_port = packet[start] << 8 | packet[start + 1], packet[start + 2] << 8 | packet[start + 3]
        probe = self._probes.get(own_port)
        flags = packet[start + 13]
        if probe is not None and source_port == self._port and (flags & _RST or flags & (_SYN | _ACK) == _SYN | _ACK):
            self._answered(probe, ipv4_to_text(packet[12:16]), "", True)

    def _on_error(self, error: IcmpError) -> None:
        quoted = error.quoted
        start = (quoted[0] & 15) * 4
        probe = self._probes.get(quoted[start] << 8 | quoted[start + 1])
        if probe is not None and quoted[16:20] == self._address:
            mark = error_mark(error.icmp_type, error.code, error.information)
            self._answered(probe, ipv4_to_text(error.reporter), mark or "", mark is not None)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
