"""UDP for scripts: sockets, a steady flow, and what counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emu.programs.runner import ProgramRunner
from emu.task import Program, Task
from emu.traffic.udp_flow import UdpSender, UdpSendResult, UdpSink

if TYPE_CHECKING:
    from emu.stack.udp_socket import UdpSocket


class UdpPrograms(ProgramRunner):
    """The part of a container that opens UDP sockets."""

    def udp(self, port: int = 0, address: str = "0.0.0.0") -> UdpSocket:
        """A UDP socket for a process: `payload, source = yield socket.recv()`, `socket.sendto(payload, (ip, port))`.

        port: 0 takes a free one. Raises OSError as Linux does, such as "Address already in use".
        """
        socket: UdpSocket = self.namespace.udp_socket()
        socket.bind(address, port)
        return socket

    def udp_flow(
        self,
        target: ProgramRunner | str,
        port: int,
        *,
        size: int | str = 1000,
        rate: int | str | None = None,
        interval: int | str | None = None,
        count: int | None = None,
        duration: int | str | None = None,
        source_port: int = 0,
        numbered: bool = False,
        at: str | int | None = None,
    ) -> Task:
        """Send UDP datagrams at a steady pace; the task's result has `.sent`, `.bytes` and `.refused`.

        size: payload bytes. rate: payload bits per second ("10Mbit"), or interval: time between datagrams.
        count or duration: how many, or how long; one of them at least. source_port: 0 takes a free one.
        numbered: datagrams carry a number and time, from which a sink tells losses. at: absolute start time.
        """
        shown = self._shown(target, "udp_flow")
        keywords: dict[str, Any] = {
            "size": size, "rate": rate, "interval": interval, "count": count, "duration": duration,
            "source_port": source_port, "numbered": numbered,
        }  # fmt: skip
        UdpSender(self.namespace, "0.0.0.0", port, **keywords)  # bad values are an error where they are given
        sender: UdpSender | None = None

        def run() -> Program:
            nonlocal sender
            address = yield from self._reach(target, "udp")
            sender = UdpSender(self.namespace, address, port, **keywords)
            return (yield from sender.run())

        nothing = UdpSendResult(0, 0, {}, 0, 0)  # what a flow has that never started
        return self._start_program(
            f"udp to {shown}:{port}", run, lambda: nothing if sender is None else sender.result, at
        )

    def udp_sink(self, port: int, *, numbered: bool = False) -> UdpSink:
        """Count the datagrams that arrive at a port: `.received`, `.bytes`, `.result`; it does not keep a run alive.

        numbered: read the numbers that `udp_flow(numbered=True)` writes. Raises OSError when the port is taken.
        """
        return UdpSink(self.namespace, port, numbered=numbered)
