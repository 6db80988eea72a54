"""emu: a packet-level network emulator for Docker's Container Network Model.

import emu

def topology(net: emu.Emulation) -> None:
    web = net.host.containers.run("web")
    net.host.containers.run("db")
    web.ping("172.17.0.3")

if __name__ == "__main__":
    emu.main(topology)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from emu.kernel.errors import (
    Conflict,
    EmuError,
    InvalidValue,
    LeaseTimeout,
    NotFound,
    NotSupported,
    SimulationStuck,
    TaskNotFinished,
)
from emu.scenario.decorator import scenario
from emu.version import __version__

if TYPE_CHECKING:
    from emu.cli.direct import main
    from emu.container import Container
    from emu.device.impairments.loss import GilbertElliott
    from emu.device.queues.codel import CoDel
    from emu.device.queues.red import Red
    from emu.emulation import Emulation
    from emu.host import Host
    from emu.link import Link, Switch
    from emu.network import Network
    from emu.result import Result
    from emu.task import Task
    from emu.traffic.http_messages import HttpRequest, HttpResponse

# Loaded on first use, so that `emu --help` answers at once.
_LATER = {
    "CoDel": "emu.device.queues.codel",
    "Container": "emu.container",
    "Emulation": "emu.emulation",
    "GilbertElliott": "emu.device.impairments.loss",
    "Host": "emu.host",
    "HttpRequest": "emu.traffic.http_messages",
    "HttpResponse": "emu.traffic.http_messages",
    "Link": "emu.link",
    "Network": "emu.network",
    "Red": "emu.device.queues.red",
    "Result": "emu.result",
    "Switch": "emu.link",
    "Task": "emu.task",
    "kernel_sysctls": "emu.stack.kernel_flavour",
    "main": "emu.cli.direct",
}

__all__ = [
    "CoDel",
    "Conflict",
    "Container",
    "EmuError",
    "Emulation",
    "GilbertElliott",
    "Host",
    "HttpRequest",
    "HttpResponse",
    "InvalidValue",
    "LeaseTimeout",
    "Link",
    "Network",
    "NotFound",
    "NotSupported",
    "Red",
    "Result",
    "SimulationStuck",
    "Switch",
    "Task",
    "TaskNotFinished",
    "__version__",
    "kernel_sysctls",
    "main",
    "scenario",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'emu' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
