"""What can run in a container, from one file per topic."""

from __future__ import annotations

from emu.programs.http import HttpPrograms
from emu.programs.load import LoadPrograms
from emu.programs.packet import PacketPrograms
from emu.programs.probe import ProbePrograms
from emu.programs.tcp import TcpPrograms
from emu.programs.udp import UdpPrograms


class Programs(ProbePrograms, UdpPrograms, TcpPrograms, HttpPrograms, LoadPrograms, PacketPrograms):
    """The part of a container that runs programs."""
