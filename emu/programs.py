"""What can run in a container, from one file per topic."""

from __future__ import annotations

from emu.http_programs import HttpPrograms
from emu.load_programs import LoadPrograms
from emu.packet_programs import PacketPrograms
from emu.probe_programs import ProbePrograms
from emu.tcp_programs import TcpPrograms
from emu.udp_programs import UdpPrograms


class Programs(ProbePrograms, UdpPrograms, TcpPrograms, HttpPrograms, LoadPrograms, PacketPrograms):
    """The part of a container that runs programs."""
