"""The driver of the network `none`: a sandbox with nothing but its loopback interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.cnm.drivers.driver import DriverCapabilities, JoinInfo

if TYPE_CHECKING:
    from emu.cnm.endpoint import Endpoint
    from emu.cnm.network import Network
    from emu.cnm.sandbox import Sandbox


class NullDriver:
    """Makes no devices; there is one network of it (FACTS 80, 89)."""

    def capabilities(self) -> DriverCapabilities:
        """Return what the controller has to know."""
        return DriverCapabilities(ipam_driver="null", single_network=True, resolves_names=False, gives_gateway=False)

    def create_network(self, network: Network) -> None:
        """Make nothing."""

    def delete_network(self, network: Network) -> None:
        """Remove nothing."""

    def create_endpoint(self, endpoint: Endpoint) -> None:
        """Make nothing."""

    def delete_endpoint(self, endpoint: Endpoint) -> None:
        """Remove nothing."""

    def join(self, endpoint: Endpoint, sandbox: Sandbox) -> JoinInfo:
        """Give the sandbox nothing."""
        return JoinInfo()

    def leave(self, endpoint: Endpoint) -> None:
        """Take nothing back."""
