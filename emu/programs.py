"""What can run in a container, from one file per topic."""

from __future__ import annotations

from typing import Any, NoReturn

from emu.http_programs import HttpPrograms
from emu.kernel.errors import NotSupported
from emu.packet_programs import PacketPrograms
from emu.probe_programs import ProbePrograms
from emu.udp_programs import UdpPrograms


class Programs(ProbePrograms, UdpPrograms, HttpPrograms, PacketPrograms):
    """The part of a container that runs programs."""

    def iperf(self, *_: Any, **__: Any) -> NoReturn:
        """Not built yet."""
        self._refuse("iperf")

    def tcp_listen(self, *_: Any, **__: Any) -> NoReturn:
        """Not built yet."""
        self._refuse("tcp_listen")

    def tcp_connect(self, *_: Any, **__: Any) -> NoReturn:
        """Not built yet."""
        self._refuse("tcp_connect")

    def _refuse(self, what: str) -> NoReturn:
        raise NotSupported(f"{what} is not built yet; use ping, udp or spawn")
