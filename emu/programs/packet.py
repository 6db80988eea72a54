"""Scapy inside a container: packets out, what passes an interface, and questions with their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emu import arguments
from emu.kernel.errors import InvalidValue
from emu.programs.raw import begins_with_ip, completed, send_frame, send_routed
from emu.programs.runner import ProgramRunner
from emu.programs.send_receive import SendReceive, SendReceiveOptions, SendReceiveResult, single_packets
from emu.programs.sniffer import Sniffer
from emu.task import Program, Task
from emu.wire.scapy_bridge import layer_names


class PacketPrograms(ProgramRunner):
    """The part of a container that runs Scapy packets through its devices, in virtual time.

    The container's own kernel sees what comes in as well, as on Linux: it answers a SYN-ACK that belongs to none of
    its connections with RST, and a datagram to a closed port with an ICMP error.
    """

    def send(self, packet: Any, interface: str | None = None) -> int:
        """Send a Scapy packet as it is; return its packet id.

        packet: from `Ether` on (or bytes of a frame) it leaves by the interface, default eth0; from `IP` on it takes
            the way that the routing table says, and the next hop's MAC address is resolved.
        Source addresses that are not set become the container's own. Raises InvalidValue for other fields that Scapy
        would fill in from the machine it runs on, OSError for an IP packet without a way ("Network is unreachable") or
        longer than the MTU ("Message too long").
        """
        arguments.text("send: interface", interface)
        if isinstance(packet, bytes):
            return send_frame(self.namespace, self.interface(interface or "eth0").device, packet)
        if begins_with_ip(packet):
            if interface is not None:
                raise InvalidValue("send: an IP packet leaves where the routing table says; leave interface out")
            return send_routed(self.namespace, completed(self.namespace, None, packet))
        device = self.interface(interface or "eth0").device
        return send_frame(self.namespace, device, completed(self.namespace, device, packet))

    def sr(
        self,
        packets: Any,
        *,
        timeout: str | int = "2s",
        retry: int = 0,
        inter: str | int = 0,
        at: str | int | None = None,
    ) -> Task:
        """Send IP packets and wait for answers; the task's result has `.answered` (pairs) and `.unanswered`.

        packets: a Scapy packet from `IP` on, a set such as `IP(dst="10.0.9.3", ttl=(1, 5))/ICMP()`, or several.
        timeout: how long to wait after the last packet. retry: how often to repeat what is unanswered.
        inter: pause between packets. at: absolute start time.
        """
        return self._send_receive("sr", packets, None, (timeout, retry, inter), at)

    def sr1(
        self,
        packet: Any,
        *,
        timeout: str | int = "2s",
        retry: int = 0,
        inter: str | int = 0,
        at: str | int | None = None,
    ) -> Task:
        """Send IP packets and end with the first answer; the task's result is a Scapy packet from `IP` on, or None."""
        return self._send_receive("sr1", packet, None, (timeout, retry, inter), at)

    def srp(
        self,
        packets: Any,
        interface: str = "eth0",
        *,
        timeout: str | int = "2s",
        retry: int = 0,
        inter: str | int = 0,
        at: str | int | None = None,
    ) -> Task:
        """As `sr`, with frames from `Ether` on, which leave by the interface, and whose answers come in there."""
        return self._send_receive("srp", packets, interface, (timeout, retry, inter), at)

    def _send_receive(
        self,
        name: str,
        packets: Any,
        interface: str | None,
        how: tuple[str | int, int, str | int],
        at: str | int | None,
    ) -> Task:
        arguments.text(f"{name}: interface", interface)
        options = SendReceiveOptions.read(*how)
        singles = single_packets(packets, routed=interface is None)
        program: SendReceive | None = None

        def run() -> Program:
            nonlocal program
            device = None if interface is None else self.interface(interface).device
            program = SendReceive(self.namespace, singles, options, device=device, only_one=name == "sr1")
            yield from program.run()
            return result()

        def result() -> Any:
            if name == "sr1":
                return None if program is None else program.first_answer
            return SendReceiveResult([], singles) if program is None else program.result

        return self._start_program(f"{name} {layer_names(singles[0])}", run, result, at)

    def sniff(
        self,
        count: int | None = None,
        timeout: str | int | None = None,
        interface: str = "eth0",
        lfilter: Callable[[Any], object] | None = None,
        at: str | int | None = None,
    ) -> Task:
        """Watch an interface; the task's result is a list of Scapy packets, `.time` is the virtual time in s.

        count: ends after so many. timeout: ends after so long. Without both it collects to the end of the run.
        lfilter: is given a packet and says whether to keep it. at: absolute start time.
        """
        arguments.text("sniff: interface", interface)
        sniffer = Sniffer(self.net.kernel, lambda: self.interface(interface).device, count, timeout, lfilter)
        return self._start_program(f"sniff {interface}", sniffer.run, lambda: sniffer.packets, at, needs_address=False)
