"""A host as the recordings had it: an uplink 203.0.113.x/24, a resolver on it, and the engine."""

from __future__ import annotations

from emu.cnm.controller import Controller
from emu.cnm.profile import profile
from emu.device.veth import create_veth
from emu.kernel import Kernel
from emu.stack.namespace import Namespace
from tests.cnm.attachments import Attachments


class Lab:
    """One host with an engine; `kernel`, `namespace` (the host's) and `controller` are for the test to use."""

    def __init__(self, engine: str = "29", seed: int = 0) -> None:
        self.kernel = Kernel(seed=seed)
        self.namespace = Namespace(self.kernel, "host1")
        self.namespace.set_up_loopback()
        uplink, self.outside = create_veth(
            self.kernel, "eth0", bytes.fromhex("525400000010"), "out", bytes.fromhex("525400000064"), 1500
        )
        self.namespace.add_device(uplink, "eth0")
        uplink.set_up()
        self.outside.set_up()
        self.namespace.add_address(uplink, "203.0.113.16/24")
        self.controller = Controller(
            self.kernel,
            self.namespace,
            profile=profile(engine),
            host_name="host1",
            nameservers=["203.0.113.53"],
        )
        self._containers = 0

    def container(self, name: str, *networks: str, hostname: str | None = None) -> Attachments:
        """Return a started container on these networks."""
        container = Attachments(self.controller, name, self.container_id(), hostname=hostname)
        for network in networks:
            container.add(network)
        container.start()
        return container

    def container_id(self) -> str:
        """Return a new id of 64 hex digits."""
        self._containers += 1
        return f"{self._containers:012x}".ljust(64, "0")
