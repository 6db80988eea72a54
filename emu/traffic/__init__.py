"""Floor 4: programs that run in a sandbox: ping, UDP sender and sink. They know sockets, not Docker."""

from emu.traffic.ping import Ping, PingResult
from emu.traffic.ping_options import PingOptions, ping_options
from emu.traffic.udp_flow import UdpReceiveResult, UdpSender, UdpSendResult, UdpSink

__all__ = [
    "Ping",
    "PingOptions",
    "PingResult",
    "UdpReceiveResult",
    "UdpSendResult",
    "UdpSender",
    "UdpSink",
    "ping_options",
]
