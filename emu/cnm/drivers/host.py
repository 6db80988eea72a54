"""The driver of the network `host`: its containers use the host's own namespace."""

from __future__ import annotations

from emu.cnm.drivers.null import NullDriver


class HostDriver(NullDriver):
    """Makes no devices: the sandbox is the host's namespace (FACT 89).

    It needs what the null driver needs, and the controller refuses any other network for such a sandbox.
    """
