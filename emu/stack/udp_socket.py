"""The UDP socket: bind, connect, send, receive, and the errors that Linux would report."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.stack.flow import SendFlow
from emu.stack.fragment import truesize
from emu.stack.output import Path, build_packet, meant_by, os_error
from emu.stack.udp import ANY, PROTOCOL_UDP
from emu.stack.udp_options import UdpOptions
from emu.stack.waiter import Waiter
from emu.wire.address import ipv4_to_bytes, ipv4_to_text
from emu.wire.checksum import udp_checksum
from emu.wire.drop import DropReason
from emu.wire.frame import Frame
from emu.wire.offload import CHECKSUM_ONLY, partial_checksum

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.stack.icmp import IcmpError
    from emu.stack.namespace import Namespace

Address = tuple[str, int]
OnDatagram = Callable[[bytes, Address, Frame], None]
PAYLOAD_MAX = 65507
FLOWS_MAX = 1024
NEVER_NS = -(1 << 62)
_pack_ports = Struct("!HHHH").pack


@dataclass(frozen=True, slots=True)
class SocketError:
    """One entry of the error queue (IP_RECVERR).

    number: the errno. destination: where the failed datagram was going. icmp_type, code, information, offender:
    what the ICMP error said and who sent it; offender is None for errors found here.
    """

    number: int
    destination: Address
    icmp_type: int
    code: int
    information: int
    offender: str | None


class UdpSocket(UdpOptions):
    """A UDP socket of a namespace.

    on_datagram: called with (payload, (address, port), frame) for every datagram; without it datagrams wait for
        `recv`, at most `receive_buffer` bytes of kernel memory of them (212992, SO_RCVBUF).
    broadcast: SO_BROADCAST.
    receive_errors: IP_RECVERR: every ICMP error and a full device queue is reported, and kept in `error_queue`.
        Without it only a connected socket hears of errors, and only of hard ones (port unreachable, …).
    Limits: with `on_datagram` set nothing reaches `recv`. The IP id starts at random and grows by one per datagram
    (FACT 33) also before `connect`, where Linux takes it from the destination's counter. Sending never blocks. No
    multicast membership.
    """

    __slots__ = (
        "_connected",
        "_error",
        "_ident",
        "_kernel",
        "_namespace",
        "_port",
        "_queue",
        "_queue_bytes",
        "_remote",
        "_waiting",
        "_woken_ns",
        "bound_address",
        "broadcast",
        "datagrams_received",
        "dropped",
        "error_queue",
        "on_datagram",
        "receive_buffer",
        "receive_errors",
    )

    def __init__(self, namespace: Namespace) -> None:
        super().__init__()
        self._namespace = namespace
        self._kernel = namespace.kernel
        self.bound_address = ANY
        self._port = 0
        self._remote: tuple[bytes, int] | None = None
        self._connected: Address | None = None
        self._error: int | None = None
        self._ident = namespace.socket_random.getrandbits(16)
        self._queue: deque[tuple[bytes, Address, int]] = deque()
        self._queue_bytes = 0
        self._waiting: deque[Waiter] = deque()
        self.on_datagram: OnDatagram | None = None
        self.error_queue: deque[SocketError] = deque()
        self.broadcast = False
        self.receive_errors = False
        self.receive_buffer = namespace.sysctl["net.core.rmem_default"]
        self.datagrams_received = 0
        self.dropped = 0
        self._woken_ns = NEVER_NS

    # -- names --------------------------------------------------------------------------------------------------------

    def bind(self, address: str = "0.0.0.0", port: int = 0) -> None:
        """Take a local address and port; port 0 chooses an ephemeral one.

        Raises OSError EADDRINUSE, EADDRNOTAVAIL (not an address of this namespace) or EINVAL (bound already).
        """
        self._check_open()
        if self._port:
            raise os_error(errno.EINVAL)
        local = ipv4_to_bytes(address)
        namespace = self._namespace
        is_group = local[0] >= 224 or namespace.broadcast_interface(local) is not None
        if local != ANY and not is_group and not namespace.is_local_address(local):
            raise os_error(errno.EADDRNOTAVAIL)
        _check_port(port, 0)
        self._port = namespace.udp.bind(self, local, port)
        self.bound_address = local

    def connect(self, address: str, port: int) -> None:
        """Set where `send` sends to and whom datagrams are taken from; raises OSError when there is no way there."""
        self._check_open()
        _check_port(port, 1)
        remote = meant_by(ipv4_to_bytes(address), self._bound_source())
        path = self._namespace.output.path(remote, self._bound_source())
        if isinstance(path, int):
            raise os_error(path)
        if path.is_broadcast and not self.broadcast:
            raise os_error(errno.EACCES)
        if not self._port:
            self._port = self._namespace.udp.bind(self, path.source, 0)
        if self.bound_address == ANY:
            self.bound_address = path.source
        self._remote = (remote, port)
        self._connected = (address, port)
        self._flows.clear()
        self._namespace.flush_receive_flows()

    @property
    def local_address(self) -> Address:
        """The (address, port) that the socket is bound to; ("0.0.0.0", 0) before that."""
        return ipv4_to_text(self.bound_address), self._port

    @property
    def remote_address(self) -> Address | None:
        """The (address, port) that the socket is connected to, or None."""
        return self._connected

    def close(self) -> None:
        """Give the port back and drop what was not read; a waiting `recv` fails with EBADF."""
        if self._port > 0:
            self._namespace.udp.unbind(self, self._port)
        self._port = -1
        self._queue.clear()
        self._flows.clear()
        self.on_datagram = None
        for event in self._waiting:
            if not event.triggered:
                event.fail(os_error(errno.EBADF))
                event.defused = True  # nobody has to wait for it
        self._waiting.clear()

    def _check_open(self) -> None:
        if self._port < 0:
            raise os_error(errno.EBADF)

    def _bound_source(self) -> bytes | None:
        return None if self.bound_address == ANY else self.bound_address

    def match(self, local: bytes, remote: bytes, remote_port: int) -> int:
        """Return how well a datagram fits: -1 not at all, the higher the better."""
        score = 0
        if self._remote is not None:
            if self._remote != (remote, remote_port):
                return -1
            score = 2
        if self.bound_address != ANY:
            if self.bound_address != local:
                return -1
            score += 1
        return score

    def match_broadcast(self, destination: bytes, remote: bytes, remote_port: int) -> bool:
        """Return whether a broadcast or multicast to `destination` is for this socket."""
        if self._remote is not None and self._remote != (remote, remote_port):
            return False
        return self.bound_address in (ANY, destination)

    # -- sending ------------------------------------------------------------------------------------------------------

    def send(self, payload: bytes) -> int:
        """Send to the connected address; returns the number of bytes, raises OSError as `sendto`."""
        if self._connected is None:
            self._check_open()
            raise os_error(errno.EDESTADDRREQ)
        return self.sendto(payload, self._connected)

    def sendto(self, payload: bytes, destination: Address) -> int:
        """Send a datagram to (address, port) and return its length.

        Raises OSError: the error reported last (ECONNREFUSED, …), ENETUNREACH or EHOSTUNREACH without a way,
        EMSGSIZE when it is too long, EACCES for a broadcast without `broadcast`, ENOBUFS (only with
        `receive_errors`) when the device refused it.
        """
        try:
            flow = self._flows.get(destination)
        except TypeError:
            check_datagram(payload, destination)
            raise
        if flow is None or flow.generation != self._namespace.generation or self._error is not None:
            return self._send_slowly(payload, destination)
        size = len(payload)
        template = flow.templates.get(size)
        if template is None:
            if size > flow.payload_max:
                return self._send_slowly(payload, destination)
            template = flow.template(size)
        self._ident = ident = (self._ident + 1) & 0xFFFF
        try:
            data = template.stamp(ident, payload, flow.checksum)
        except TypeError:
            check_datagram(payload, destination)
            raise
        frame = Frame(data, self._kernel.next_packet_id())
        if flow.cpu is not None:
            flow.start(frame)
        elif not flow.device.transmit(frame) and self.receive_errors:
            raise os_error(errno.ENOBUFS)
        return size

    def _send_slowly(self, payload: bytes, destination: Address) -> int:
        self._check_open()
        check_datagram(payload, destination)
        self._raise_pending_error()
        address, port = destination
        _check_port(port, 1)
        remote = meant_by(ipv4_to_bytes(address), self._bound_source())
        if len(payload) > PAYLOAD_MAX:
            raise os_error(errno.EMSGSIZE)
        namespace = self._namespace
        path = namespace.output.path(remote, self._bound_source())
        if isinstance(path, int):
            raise os_error(path)
        if path.is_broadcast and not self.broadcast:
            raise os_error(errno.EACCES)
        if not self._port:
            self._port = namespace.udp.bind(self, ANY, 0)
        fits = len(payload) + 28 <= path.mtu
        if not fits and self.dont_fragment:
            raise _message_too_long(path.mtu)
        self._ident = (self._ident + 1) & 0xFFFF
        df = bool(self.dont_fragment) or (self.dont_fragment is None and fits and not path.locked)
        leaves_checksum = namespace.offload and fits and self.checksum
        if fits and not leaves_checksum:
            self._remember_flow(path, remote, destination, df)
        packet = self._build(path, remote, port, payload, df, leaves_checksum)
        cost_ns = namespace.cost_socket_send_ns
        if namespace.cpu is not None:
            cost_ns += namespace.cpu.costs.copy_ns(len(payload))
        packet_id = self._kernel.next_packet_id()
        altered = CHECKSUM_ONLY if leaves_checksum else False
        if not namespace.start_output(path, packet, packet_id, cost_ns, altered) and self.receive_errors:
            raise os_error(errno.ENOBUFS)
        return len(payload)

    def _build(
        self, path: Path, remote: bytes, port: int, payload: bytes, dont_fragment: bool, leaves_checksum: bool
    ) -> bytes:
        segment = _pack_ports(self._port, port, len(payload) + 8, 0) + payload
        if self.checksum:
            if leaves_checksum:
                checksum = partial_checksum(path.source, remote, PROTOCOL_UDP, len(segment))
            else:
                checksum = udp_checksum(path.source, remote, segment)
            segment = segment[:6] + checksum.to_bytes(2, "big") + segment[8:]
        ttl = self.ttl
        if ttl is None:
            ttl = 1 if path.mac is not None and not path.is_broadcast else self._namespace.default_ttl
        return build_packet(
            path.source,
            remote,
            PROTOCOL_UDP,
            segment,
            identification=self._ident,
            ttl=ttl,
            tos=self.tos,
            dont_fragment=dont_fragment,
        )

    def _remember_flow(self, path: Path, remote: bytes, destination: Address, dont_fragment: bool) -> None:
        """Keep what the next datagram to this destination can reuse, if nothing but an event can change it."""
        flow = SendFlow.make(self._namespace, path, remote, destination[1], self._port, dont_fragment, self)
        if flow is None:
            self._flows.pop(destination, None)
            return
        if len(self._flows) >= FLOWS_MAX:
            self._flows.clear()
        self._flows[destination] = flow

    # -- receiving ----------------------------------------------------------------------------------------------------

    def recv(self) -> Event:
        """Return an event that yields (payload, (address, port)) of the next datagram, or raises OSError."""
        event = Waiter(self._kernel, f"a datagram on UDP port {self._port}", self._receive)
        self._receive(event)
        return event

    def _receive(self, event: Waiter) -> None:
        """Let a program wait for a datagram, or give it what there is."""
        if self._port < 0:
            event.fail(os_error(errno.EBADF))
        elif self._error is not None:
            number, self._error = self._error, None
            event.fail(os_error(number))
        elif self._queue:
            payload, source, size = self._queue.popleft()
            self._queue_bytes -= size
            event.succeed((payload, source))
        else:
            self._waiting.append(event)

    def enqueue(self, payload: bytes, source: Address, frame: Frame, device: NetDevice) -> None:
        """Take a datagram that arrived on a device (protocol side)."""
        cpu = self._namespace.cpu
        if self.on_datagram is None and not self._waiting_live():
            size = truesize(len(payload) + 28)
            if self._queue_bytes > self.receive_buffer:
                self.dropped += 1
                device.drop(frame, DropReason.SOCKET_BUFFER_FULL)
                return
            self._queue_bytes += size
            self._queue.append((payload, source, size))
            self.datagrams_received += 1
            return
        self.datagrams_received += 1
        if cpu is None:
            self._wake((payload, source, frame))
        else:
            self._woken_ns = wake_ns = max(cpu.wakes_at_ns(self._woken_ns), self._woken_ns)
            self._kernel.call_at(wake_ns, self._wake, (payload, source, frame))

    def _waiting_live(self) -> bool:
        """Return whether somebody waits in `recv`; waiters that gave up are forgotten."""
        waiting = self._waiting
        while waiting and not waiting[0].is_waited_for:
            waiting.popleft()
        return bool(waiting)

    def _wake(self, arrival: tuple[bytes, Address, Frame]) -> None:
        """Hand a datagram to the program."""
        payload, source, frame = arrival
        if self.on_datagram is not None:
            self.on_datagram(payload, source, frame)
        elif self._waiting_live():
            self._waiting.popleft().succeed((payload, source))
        elif self._port > 0:
            size = truesize(len(payload) + 28)
            self._queue_bytes += size
            self._queue.append((payload, source, size))

    # -- errors -------------------------------------------------------------------------------------------------------

    def icmp_error(self, error: IcmpError, number: int, hard: bool, destination: Address) -> None:
        """Take in an ICMP error about a datagram of this socket (protocol side)."""
        if self.receive_errors:
            offender = ipv4_to_text(error.reporter)
            self.error_queue.append(
                SocketError(number, destination, error.icmp_type, error.code, error.information, offender)
            )
        elif not hard or self._connected is None:
            return
        if self._waiting_live():
            self._waiting.popleft().fail(os_error(number))
        else:
            self._error = number

    def _raise_pending_error(self) -> None:
        if self._error is not None:
            number, self._error = self._error, None
            raise os_error(number)

    def __repr__(self) -> str:
        return f"<UdpSocket {self._namespace.name} {self.local_address} -> {self._connected}>"


def _message_too_long(mtu: int) -> OSError:
    error: Any = os_error(errno.EMSGSIZE)
    error.mtu = mtu
    return error  # type: ignore[no-any-return]


def check_datagram(payload: object, destination: object) -> None:
    """Raise InvalidValue for a payload that is not bytes, or a destination that is not (address, port)."""
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        raise InvalidValue(f"sendto: the payload is {type(payload).__name__}; expected bytes, such as b'hello'")
    if not isinstance(destination, tuple) or len(destination) != 2 or not isinstance(destination[0], str):
        raise InvalidValue(f'sendto: expected (address, port), such as ("172.17.0.2", 53), not {destination!r}')


def _check_port(port: int, minimum: int) -> None:
    if type(port) is not int or not minimum <= port <= 65535:
        raise InvalidValue(f"UDP port {port!r}: expected {minimum} to 65535")
