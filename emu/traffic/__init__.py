"""Floor 4: programs that run in a sandbox: ping, traceroute, web, iperf, netcat, load, UDP flows, DHCP.

They know sockets, not Docker.
"""

from emu.traffic.http_client import HttpClient
from emu.traffic.http_messages import HttpRequest, HttpResponse
from emu.traffic.http_result import HttpAnswer, HttpResult
from emu.traffic.http_server import HttpServer
from emu.traffic.iperf_client import IperfClient
from emu.traffic.iperf_result import IperfResult
from emu.traffic.iperf_server import IperfServer
from emu.traffic.latency import LatencyHistogram
from emu.traffic.load import LoadGenerator
from emu.traffic.load_result import LoadResult
from emu.traffic.netcat import Netcat, NetcatResult
from emu.traffic.ping import Ping
from emu.traffic.ping_options import PingOptions, ping_options
from emu.traffic.ping_result import PingResult
from emu.traffic.responder import Responder
from emu.traffic.traceroute import Traceroute, TracerouteOptions, TracerouteResult, traceroute_options
from emu.traffic.udp_flow import UdpReceiveResult, UdpSender, UdpSendResult, UdpSink

__all__ = [
    "HttpAnswer",
    "HttpClient",
    "HttpRequest",
    "HttpResponse",
    "HttpResult",
    "HttpServer",
    "IperfClient",
    "IperfResult",
    "IperfServer",
    "LatencyHistogram",
    "LoadGenerator",
    "LoadResult",
    "Netcat",
    "NetcatResult",
    "Ping",
    "PingOptions",
    "PingResult",
    "Responder",
    "Traceroute",
    "TracerouteOptions",
    "TracerouteResult",
    "UdpReceiveResult",
    "UdpSendResult",
    "UdpSender",
    "UdpSink",
    "ping_options",
    "traceroute_options",
]
