"""The socket that the ping program uses: it sends echo requests and hears replies and errors about them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Any

from emu.kernel.errors import Conflict, InvalidValue
from emu.stack.icmp import PROTOCOL_ICMP, IcmpError
from emu.stack.output import build_packet, meant_by, os_error
from emu.wire.address import ipv4_to_bytes
from emu.wire.checksum import internet_checksum

if TYPE_CHECKING:
    from emu.stack.namespace import Namespace
    from emu.wire.frame import Frame

OnReply = Callable[[bytes, int, bytes, int], None]
OnError = Callable[[bytes, int, int, int, int], None]
PAYLOAD_MAX = 65507
_pack_echo = Struct("!BBHHH").pack
DONT_FRAGMENT_MODES = {"want": None, "do": True, "dont": False, None: None, True: True, False: False}


class PingSocket:
    """An ICMP echo socket (as `socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)` with IP_RECVERR).

    ident: the echo identifier, unique in the namespace.
    on_reply: called with (source address, sequence, payload, TTL of the reply); the present time is the arrival.
    on_error: called with (reporter's address, sequence, ICMP type, code, information) for errors that quote a request.
    """

    __slots__ = ("_closed", "_namespace", "ident", "on_error", "on_reply")

    def __init__(self, namespace: Namespace, ident: int | None) -> None:
        self._namespace = namespace
        self._closed = False
        self.on_reply: OnReply | None = None
        self.on_error: OnError | None = None
        taken = namespace.icmp.ping_sockets
        if ident is None:
            ident = namespace.socket_random.getrandbits(16)
            while ident in taken and len(taken) < 65536:
                ident = (ident + 1) & 0xFFFF
        if type(ident) is not int or not 0 <= ident <= 65535:
            raise InvalidValue(f"ICMP identifier {ident!r}: expected 0 to 65535")
        if ident in taken:
            raise Conflict(f"ICMP identifier {ident} is in use in {namespace.name}")
        self.ident = ident
        taken[ident] = self

    def send_echo(
        self,
        destination: bytes | str,
        sequence: int,
        payload: bytes,
        *,
        ttl: int | None = None,
        dont_fragment: bool | str | None = None,
        tos: int = 0,
    ) -> int:
        """Send an echo request and return its packet id.

        destination: address, 4 bytes or text. sequence: 0 to 65535.
        dont_fragment: None or "want": DF while it fits, fragments otherwise; True or "do": always DF, the IP
            identification is then 0; False or "dont": never (FACTS 32 to 34).
        Raises OSError: EMSGSIZE (its attribute `mtu` says what would fit), ENETUNREACH, EHOSTUNREACH, EACCES,
        ENOBUFS when the device refused the frame.
        """
        if self._closed:
            raise os_error(errno.EBADF)
        if dont_fragment not in DONT_FRAGMENT_MODES:
            raise InvalidValue(f'dont_fragment {dont_fragment!r}: expected "want", "do" or "dont"')
        if not 0 <= sequence <= 65535 or not 0 <= tos <= 255 or (ttl is not None and not 1 <= ttl <= 255):
            raise InvalidValue(
                f"echo request: sequence {sequence} (0 to 65535), tos {tos} (0 to 255), ttl {ttl} (1 to 255)"
            )
        mode = DONT_FRAGMENT_MODES[dont_fragment]
        namespace = self._namespace
        remote = meant_by(destination if isinstance(destination, bytes) else ipv4_to_bytes(destination), None)
        path = namespace.output.path(remote)
        if isinstance(path, int):
            raise os_error(path)
        if path.is_broadcast:
            raise os_error(errno.EACCES)
        fits = len(payload) + 28 <= path.mtu
        if len(payload) > PAYLOAD_MAX or (mode and not fits):
            error: Any = os_error(errno.EMSGSIZE)
            error.mtu = path.mtu
            raise error
        if ttl is None:
            ttl = namespace.default_ttl if path.mac is None else 1  # IP_MULTICAST_TTL
        message = _pack_echo(8, 0, 0, self.ident, sequence) + payload
        message = message[:2] + internet_checksum(message).to_bytes(2, "big") + message[4:]
        kernel = namespace.kernel
        packet = build_packet(
            path.source,
            remote,
            PROTOCOL_ICMP,
            message,
            identification=0 if mode else namespace.idents.next(kernel.now, path.source, remote, PROTOCOL_ICMP),
            ttl=ttl,
            tos=tos,
            dont_fragment=bool(mode) or (mode is None and fits and not path.locked),
        )
        packet_id: int = kernel.next_packet_id()
        if not namespace.start_output(path, packet, packet_id, namespace.cost_socket_send_ns):
            raise os_error(errno.ENOBUFS)
        return packet_id

    def close(self) -> None:
        """Give the identifier back; nothing is heard any more."""
        if not self._closed:
            self._closed = True
            del self._namespace.icmp.ping_sockets[self.ident]

    # -- protocol side ------------------------------------------------------------------------------------------------

    def reply_arrived(self, frame: Frame, start: int) -> None:
        """Take in an echo reply whose ICMP message begins at `start`."""
        data = frame.data
        sequence = data[start + 6] << 8 | data[start + 7]
        self._namespace.wake(self._reply, (data[26:30], sequence, data[start + 8 :], data[22]))

    def error_arrived(self, error: IcmpError, start: int) -> None:
        """Take in an ICMP error that quotes a request, whose ICMP message begins at `start` of the quote."""
        quoted = error.quoted
        sequence = quoted[start + 6] << 8 | quoted[start + 7]
        self._namespace.wake(self._failed, (error.reporter, sequence, error.icmp_type, error.code, error.information))

    def _reply(self, reply: tuple[bytes, int, bytes, int]) -> None:
        if self.on_reply is not None and not self._closed:
            self.on_reply(*reply)

    def _failed(self, error: tuple[bytes, int, int, int, int]) -> None:
        if self.on_error is not None and not self._closed:
            self.on_error(*error)
