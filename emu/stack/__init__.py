"""Floor 3: the protocol stack of one network namespace. It does not know Docker."""

from emu.stack.forward_chain import Filter, ForwardRule
from emu.stack.namespace import Namespace
from emu.stack.ping_socket import PingSocket
from emu.stack.route import Route, RouteTable
from emu.stack.udp_socket import UdpSocket

__all__ = ["Filter", "ForwardRule", "Namespace", "PingSocket", "Route", "RouteTable", "UdpSocket"]
