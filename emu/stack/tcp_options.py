"""The options of a TCP socket, under Linux's names (tcp(7), ip(7), socket(7))."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from emu.kernel.errors import InvalidValue
from emu.stack.tcp.congestion import check_algorithm
from emu.stack.tcp.settings import TcpSettings

if TYPE_CHECKING:
    from emu.stack.namespace import Namespace
    from emu.stack.tcp.connection import Connection
    from emu.stack.tcp_link import TcpLink

RECEIVE_BUFFER_MIN = 2304
SEND_BUFFER_MIN = 4608
MAXIMUM_SEGMENT_MIN = 88
KEEPALIVE_TIME_MAX_NS = 32767 * 1_000_000_000
KEEPALIVE_COUNT_MAX = 127


OPTION_NAMES = (
    "congestion",
    "keep_alive",
    "keep_count",
    "keep_idle_ns",
    "keep_interval_ns",
    "linger_ns",
    "maximum_segment",
    "no_delay",
    "quick_ack",
    "receive_buffer",
    "send_buffer",
    "tos",
    "ttl",
    "user_timeout_ns",
)


class TcpOptions:
    """What can be set on a TCP socket; sockets that a listener accepts inherit it.

    Before `connect` or `listen` everything can be set, later what does not belong to the SYN. None means the
    namespace's default. What cannot be meant raises InvalidValue.
    """

    __slots__ = (
        "_congestion",
        "_keep_alive",
        "_keep_count",
        "_keep_idle_ns",
        "_keep_interval_ns",
        "_linger_ns",
        "_link",
        "_maximum_segment",
        "_namespace",
        "_no_delay",
        "_quick_ack",
        "_receive_buffer",
        "_send_buffer",
        "_tos",
        "_ttl",
        "_user_timeout_ns",
    )

    _link: TcpLink | None

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._no_delay = False
        self._keep_alive = False
        self._keep_idle_ns: int | None = None
        self._keep_interval_ns: int | None = None
        self._keep_count: int | None = None
        self._congestion: str | None = None
        self._send_buffer: int | None = None
        self._receive_buffer: int | None = None
        self._maximum_segment: int | None = None
        self._user_timeout_ns = 0
        self._ttl: int | None = None
        self._tos = 0
        self._quick_ack = True
        self._linger_ns: int | None = None

    # -- how they reach the machine -----------------------------------------------------------------------------------

    def settings(self) -> TcpSettings:
        """Return the settings that a connection of this socket starts with."""
        settings = self._namespace.tcp.settings
        if self._receive_buffer is not None:
            settings = replace(settings, receive_buffer=self._receive_buffer, receive_autotuning=False)
        return settings

    def apply_options(self, connection: Connection) -> None:
        """Set on a connection what can be changed while it is open."""
        connection.sender.no_delay = self._no_delay
        connection.send_buffer = self._send_buffer or 0
        connection.user_timeout_ns = self._user_timeout_ns
        if not connection.was_established and not self._quick_ack:
            connection.receiver.acks.interactive = True
        keepalive, settings = connection.keepalive, connection.settings
        keepalive.idle_ns = settings.keepalive_idle_ns if self._keep_idle_ns is None else self._keep_idle_ns
        if self._keep_interval_ns is not None:
            keepalive.interval_ns = self._keep_interval_ns
        if self._keep_count is not None:
            keepalive.count = self._keep_count
        now_ns = self._namespace.kernel.now
        if not self._keep_alive:
            keepalive.stop()
        elif connection.was_established:
            if not connection.state.ended:
                keepalive.start(now_ns)
        else:
            keepalive.enabled = True

    def _changed(self) -> None:
        link = self._link
        if link is not None:
            self.apply_options(link.connection)
            if hasattr(link.connection.sender, "recovery"):
                link.connection.sender.recovery.user_timeout_ns = self._user_timeout_ns
            link.ttl, link.tos = self._ttl, self._tos
            link.output.forget()
            link.settle()

    # -- the options --------------------------------------------------------------------------------------------------

    @property
    def no_delay(self) -> bool:
        """TCP_NODELAY: small segments are sent at once (no Nagle)."""
        return self._no_delay

    @no_delay.setter
    def no_delay(self, value: bool) -> None:
        self._no_delay = _flag(value, "no_delay")
        self._changed()
        link = self._link
        if link is not None and value and link.connection.was_established:
            link.connection.sender.output(self._namespace.kernel.now)
            link.settle()

    @property
    def keep_alive(self) -> bool:
        """SO_KEEPALIVE: an idle peer is asked whether it is still there."""
        return self._keep_alive

    @keep_alive.setter
    def keep_alive(self, value: bool) -> None:
        self._keep_alive = _flag(value, "keep_alive")
        self._changed()

    @property
    def keep_idle_ns(self) -> int | None:
        """TCP_KEEPIDLE: how long the peer must be silent first; at most 32767 s."""
        return self._keep_idle_ns

    @keep_idle_ns.setter
    def keep_idle_ns(self, value: int) -> None:
        self._keep_idle_ns = _positive(value, "keep_idle_ns", KEEPALIVE_TIME_MAX_NS)
        self._changed()

    @property
    def keep_interval_ns(self) -> int | None:
        """TCP_KEEPINTVL: between two questions; at most 32767 s."""
        return self._keep_interval_ns

    @keep_interval_ns.setter
    def keep_interval_ns(self, value: int) -> None:
        self._keep_interval_ns = _positive(value, "keep_interval_ns", KEEPALIVE_TIME_MAX_NS)
        self._changed()

    @property
    def keep_count(self) -> int | None:
        """TCP_KEEPCNT: so many questions without an answer end the connection; at most 127."""
        return self._keep_count

    @keep_count.setter
    def keep_count(self, value: int) -> None:
        self._keep_count = _positive(value, "keep_count", KEEPALIVE_COUNT_MAX)
        self._changed()

    @property
    def quick_ack(self) -> bool:
        """TCP_QUICKACK: whether segments are acknowledged at once; as in Linux only until the connection changes it.

        Switched off before `connect` it also lets the ACK of the SYN-ACK wait for the first data, 200 ms at most.
        """
        link = self._link
        return self._quick_ack if link is None else not link.connection.receiver.acks.interactive

    @quick_ack.setter
    def quick_ack(self, value: bool) -> None:
        self._quick_ack = _flag(value, "quick_ack")
        link = self._link
        if link is None:
            return
        acks = link.connection.receiver.acks
        acks.interactive = not value
        if value and acks.scheduled:
            link.connection.send_ack(self._namespace.kernel.now)
            link.settle()

    @property
    def congestion(self) -> str | None:
        """TCP_CONGESTION: "cubic" or "reno"; to be set before the connection is opened."""
        return self._congestion

    @congestion.setter
    def congestion(self, value: str) -> None:
        check_algorithm(value)
        if self._link is not None:
            raise InvalidValue("congestion control: to be chosen before the connection is opened")
        self._congestion = value

    @property
    def send_buffer(self) -> int | None:
        """SO_SNDBUF: bytes of data that wait or are not acknowledged; None lets it grow with the window."""
        return self._send_buffer

    @send_buffer.setter
    def send_buffer(self, value: int) -> None:
        self._send_buffer = max(_positive(value, "send_buffer"), SEND_BUFFER_MIN)
        self._changed()

    @property
    def receive_buffer(self) -> int | None:
        """SO_RCVBUF as the kernel keeps it: bytes of memory, half of which is window; None lets it grow."""
        return self._receive_buffer

    @receive_buffer.setter
    def receive_buffer(self, value: int) -> None:
        self._receive_buffer = max(_positive(value, "receive_buffer"), RECEIVE_BUFFER_MIN)
        if self._link is not None:
            self._link.connection.receiver.window.set_buffer(self._receive_buffer)

    @property
    def maximum_segment(self) -> int | None:
        """TCP_MAXSEG: the largest MSS to announce and to send, 88 to 32767; to be set before the connection opens."""
        return self._maximum_segment

    @maximum_segment.setter
    def maximum_segment(self, value: int) -> None:
        if type(value) is not int or not MAXIMUM_SEGMENT_MIN <= value <= 32767:
            raise InvalidValue(f"maximum_segment {value!r}: expected {MAXIMUM_SEGMENT_MIN} to 32767 bytes")
        if self._link is not None:
            raise InvalidValue("maximum_segment: to be set before the connection is opened")
        self._maximum_segment = value

    @property
    def user_timeout_ns(self) -> int:
        """TCP_USER_TIMEOUT: how long data may stay unacknowledged; 0 is Linux's default (about 15 minutes)."""
        return self._user_timeout_ns

    @user_timeout_ns.setter
    def user_timeout_ns(self, value: int) -> None:
        if type(value) is not int or value < 0:
            raise InvalidValue(f"user_timeout_ns {value!r}: expected nanoseconds, a whole number >= 0")
        self._user_timeout_ns = value
        self._changed()

    @property
    def linger_ns(self) -> int | None:
        """SO_LINGER: 0 makes `close` reset the connection; any other value does not change what is sent."""
        return self._linger_ns

    @linger_ns.setter
    def linger_ns(self, value: int | None) -> None:
        if value is not None and (type(value) is not int or value < 0):
            raise InvalidValue(f"linger_ns {value!r}: expected nanoseconds, a whole number >= 0, or None")
        self._linger_ns = value

    @property
    def ttl(self) -> int | None:
        """IP_TTL, 1 to 255; None for the namespace's default."""
        return self._ttl

    @ttl.setter
    def ttl(self, value: int | None) -> None:
        if value is not None and (type(value) is not int or not 1 <= value <= 255):
            raise InvalidValue(f"TTL {value!r}: expected 1 to 255, or None for the default")
        self._ttl = value
        self._changed()

    @property
    def tos(self) -> int:
        """IP_TOS, 0 to 255; its two ECN bits belong to TCP."""
        return self._tos

    @tos.setter
    def tos(self, value: int) -> None:
        if type(value) is not int or not 0 <= value <= 255:
            raise InvalidValue(f"TOS {value!r}: expected 0 to 255")
        self._tos = value
        self._changed()


def _positive(value: int, name: str, most: int | None = None) -> int:
    if type(value) is not int or value < 1:
        raise InvalidValue(f"{name} {value!r}: expected a whole number of at least 1")
    if most is not None and value > most:
        raise InvalidValue(f"{name} {value!r}: expected at most {most}, as in Linux")
    return value


def _flag(value: bool, name: str) -> bool:
    if type(value) is not bool:
        raise InvalidValue(f"{name} {value!r}: expected True or False")
    return value
