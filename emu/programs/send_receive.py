"""Scapy's sr() in virtual time: send packets, and find the answers among what comes in."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from simpy.events import Event

from emu.kernel.errors import InvalidValue
from emu.kernel.tap import DIRECTION_IN
from emu.kernel.units import parse_time_ns
from emu.programs.raw import begins_with_ip, completed, send_frame, send_routed, way_out
from emu.wire.scapy_bridge import layers, packet_from_bytes, require_set_fields

if TYPE_CHECKING:
    from emu.device.netdevice import NetDevice
    from emu.kernel.tap import TappedFrame
    from emu.stack.namespace import Namespace


class SendReceiveResult(NamedTuple):
    """The answered packets, each with its first answer, and the unanswered ones; in the order of sending."""

    answered: list[tuple[Any, Any]]
    unanswered: list[Any]

    @property
    def outcome(self) -> str:
        """One line for result tables."""
        return f"{len(self.answered)} of {len(self.answered) + len(self.unanswered)} answered"


@dataclass(frozen=True, slots=True)
class SendReceiveOptions:
    """How long and how often.

    timeout_ns: how long answers are waited for after the last packet. retry: how often what is unanswered is sent
    again. inter_ns: pause between packets.
    """

    timeout_ns: int
    retry: int
    inter_ns: int

    @classmethod
    def read(cls, timeout: str | int, retry: int, inter: str | int) -> SendReceiveOptions:
        """Return checked options. Raises InvalidValue naming what is wrong."""
        if type(retry) is not int or retry < 0:
            raise InvalidValue(f"sr: retry must be 0 or more, not {retry!r}")
        return cls(parse_time_ns(timeout, "timeout"), retry, parse_time_ns(inter, "inter"))


class SendReceive:
    """One sr(), srp() or sr1(): packets that are sent, and the taps that look for answers.

    namespace: where it runs. packets: from `single_packets`.
    device: of `srp`, where frames leave and answers come; None for IP packets, which are routed.
    only_one: end with the first answer.
    Raises OSError when there is no way to a destination, InvalidValue for a field that Scapy would take from the
    machine it runs on.

    Which packet answers which is decided by Scapy's own `hashret` and `answers`. Times are virtual: `sent_time` and
    `time` of the packets, in s.
    """

    def __init__(
        self,
        namespace: Namespace,
        packets: list[Any],
        options: SendReceiveOptions,
        *,
        device: NetDevice | None,
        only_one: bool,
    ) -> None:
        self._namespace = namespace
        self._kernel = namespace.kernel
        self._device = device
        self._options = options
        self._only_one = only_one
        self._packets = [completed(namespace, device, packet) for packet in packets]
        for packet in self._packets:
            require_set_fields(packet)
        self._answers: dict[int, Any] = {}
        self._waiting: dict[bytes, list[int]] = {}
        self._done = self._kernel.event()
        self._done.description = f"answers to {len(self._packets)} packets"  # type: ignore[attr-defined]
        self._taps: list[tuple[NetDevice, Callable[[int, TappedFrame, int], None]]] = []

    @property
    def result(self) -> SendReceiveResult:
        """The result so far."""
        answered = [(self._packets[index], self._answers[index]) for index in sorted(self._answers)]
        unanswered = [packet for index, packet in enumerate(self._packets) if index not in self._answers]
        return SendReceiveResult(answered, unanswered)

    @property
    def first_answer(self) -> Any:
        """The answer that came first, or None."""
        return min(self._answers.values(), key=lambda packet: packet.time, default=None)

    def run(self) -> Generator[Event, Any, SendReceiveResult]:
        """Send everything and wait for answers (a process)."""
        for index, packet in enumerate(self._packets):
            self._waiting.setdefault(packet.hashret(), []).append(index)
        try:
            self._listen()
            for _ in range(self._options.retry + 1):
                yield from self._send_unanswered()
                yield self._done | self._kernel.timeout(self._options.timeout_ns)
                if self._done.triggered:
                    break
        finally:
            for device, tap in self._taps:
                device.remove_tap(tap)
        return self.result

    def _listen(self) -> None:
        """Tap the interfaces that answers may come to: where the packets leave."""
        devices = [self._device or way_out(self._namespace, packet) for packet in self._packets]
        for device in dict.fromkeys(devices):
            device.add_tap(self._tap)
            self._taps.append((device, self._tap))

    def _send_unanswered(self) -> Generator[Event, Any, None]:
        first = True
        for index, packet in enumerate(self._packets):
            if index in self._answers:
                continue
            if self._options.inter_ns and not first:
                yield self._kernel.timeout(self._options.inter_ns)
            first = False
            packet.sent_time = self._kernel.now / 1_000_000_000
            if self._device is None:
                send_routed(self._namespace, packet)
            else:
                send_frame(self._namespace, self._device, packet)

    def _tap(self, now_ns: int, frame: TappedFrame, direction: int, /) -> None:
        if direction != DIRECTION_IN or self._done.triggered:
            return
        packet = packet_from_bytes(frame.data)
        if self._device is None:
            packet = packet.payload
        if not hasattr(packet, "hashret"):
            return
        for index in self._waiting.get(packet.hashret(), ()):
            if index not in self._answers and packet.answers(self._packets[index]):
                packet.time = now_ns / 1_000_000_000
                self._answers[index] = packet
                if self._only_one or len(self._answers) == len(self._packets):
                    self._namespace.wake(self._finish, None)
                return

    def _finish(self, _: None) -> None:
        if not self._done.triggered:
            self._done.succeed()


def single_packets(packets: Any, *, routed: bool) -> list[Any]:
    """Return the single packets of a packet, a set such as `IP(dst=..., ttl=(1, 5))`, or several of either.

    routed: they are to begin with IP, else with Ether. Raises InvalidValue for anything else.
    """
    program = "sr" if routed else "srp"
    found = _expand(packets, program)
    for packet in found:
        if begins_with_ip(packet) != routed:
            expected = "IP(dst=...), or use srp" if routed else "Ether(dst=...), or use sr"
            raise InvalidValue(f"{program}: the packet begins with {type(packet).__name__}; begin it with {expected}")
    if not found:
        raise InvalidValue(f"{program}: there is no packet to send")
    return found


def _expand(packets: Any, program: str) -> list[Any]:
    if isinstance(packets, layers().Packet):
        return list(packets)
    if isinstance(packets, Iterable) and not isinstance(packets, (str, bytes)):
        return [single for packet in packets for single in _expand(packet, program)]
    raise InvalidValue(f"{program}: expected a Scapy packet or several, not {packets!r}")


__all__ = ["SendReceive", "SendReceiveOptions", "SendReceiveResult", "single_packets"]
