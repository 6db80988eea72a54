"""The drivers and address managers of one host: built in, registered by a script, or brought by installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emu.cnm.drivers.bridge import BridgeDriver
from emu.cnm.drivers.driver import ENTRY_POINT_GROUP as DRIVER_GROUP
from emu.cnm.drivers.driver import Driver
from emu.cnm.drivers.host import HostDriver
from emu.cnm.drivers.null import NullDriver
from emu.cnm.ipam.config import IpamConfig, IpamSettings, from_mapping
from emu.cnm.ipam.default import DefaultIpam
from emu.cnm.ipam.dhcp import DHCP, DhcpIpam
from emu.cnm.ipam.driver import ENTRY_POINT_GROUP as IPAM_GROUP
from emu.cnm.ipam.driver import IpamDriver
from emu.cnm.ipam.null import NullIpam
from emu.cnm.registry import Registry
from emu.kernel.errors import InvalidValue

if TYPE_CHECKING:
    from emu.cnm.controller import Controller


class Plugins:
    """What a controller finds drivers and address managers in, by their names.

    controller: installed packages' factories are called with it.
    drivers, ipam_drivers: the registries.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.drivers: Registry[Driver] = Registry(DRIVER_GROUP, lambda factory: factory(controller))
        self.ipam_drivers: Registry[IpamDriver] = Registry(IPAM_GROUP, lambda factory: factory(controller))
        self._register_built_in()

    def _register_built_in(self) -> None:
        profile = self._controller.profile
        self.drivers.register("bridge", BridgeDriver(self._controller))
        self.drivers.register("host", HostDriver())
        self.drivers.register("null", NullDriver())
        default = DefaultIpam(profile)
        self.ipam_drivers.register("default", default)
        self.ipam_drivers.register(DHCP, DhcpIpam(profile, default))
        self.ipam_drivers.register("null", NullIpam())

    def ipam_settings(self, ipam: str | Mapping[str, Any] | IpamDriver | None, flags: list[IpamConfig]) -> IpamSettings:
        """Return all a user said of a network's addresses, in `ipam=` or in the single parameters.

        Raises InvalidValue when both have subnets.
        """
        settings = self._read_ipam(ipam)
        if flags and settings.configs:
            raise InvalidValue("subnet=, ip_range=, gateway= and aux_addresses= can't be combined with ipam Config")
        settings.configs = settings.configs or flags
        return settings

    def _read_ipam(self, ipam: str | Mapping[str, Any] | IpamDriver | None) -> IpamSettings:
        if ipam is None:
            return IpamSettings("")
        if isinstance(ipam, str):
            return IpamSettings(ipam)
        if isinstance(ipam, Mapping):
            return from_mapping(self._controller.profile, ipam)
        if not hasattr(ipam, "request_address"):
            raise InvalidValue(f"ipam={ipam!r}: expected the name of an address manager, a dict, or an address manager")
        name = f"custom-{type(ipam).__name__}"
        while name in self.ipam_drivers.names() and self.ipam_drivers.get(name) is not ipam:
            name += "x"
        if name not in self.ipam_drivers.names():
            self.ipam_drivers.register(name, ipam)
        return IpamSettings(name)
