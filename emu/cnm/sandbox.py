"""A sandbox: a container's network namespace and its endpoints.

Source: libnetwork sandbox.go (order of the steps), default_gateway.go, osl/interface_linux.go (names).
"""

from __future__ import annotations

import ipaddress
from bisect import insort
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from emu.cnm.drivers.driver import FollowsAddresses, JoinInfo
from emu.cnm.gateway import choose_gateway, endpoint_key
from emu.cnm.ipam.driver import LeasesOnTheWire
from emu.cnm.naming import InterfaceNumbers
from emu.kernel.errors import Conflict, EmuError, InvalidValue, NotFound

if TYPE_CHECKING:
    from emu.cnm.controller import Controller
    from emu.cnm.endpoint import Endpoint
    from emu.device.netdevice import NetDevice
    from emu.stack.namespace import Namespace

_KEY_FOLDER = "/var/run/docker/netns"


class Sandbox:
    """A container's network namespace and its endpoints.

    Made by `emu.cnm.controller.Controller.create_sandbox`, one for every start of a container.
    """

    __slots__ = (
        "_gateway_endpoint",
        "_numbers",
        "container_id",
        "container_name",
        "controller",
        "deleted",
        "endpoints",
        "hostname",
        "id",
        "keeps_leases",
        "namespace",
        "shares_host",
    )

    def __init__(
        self,
        controller: Controller,
        sandbox_id: str,
        namespace: Namespace,
        *,
        container_name: str,
        container_id: str,
        hostname: str,
        shares_host: bool,
    ) -> None:
        self.controller = controller
        self.id = sandbox_id
        self.namespace = namespace
        self.container_name = container_name
        self.container_id = container_id
        self.hostname = hostname
        #: the sandbox is the host's own namespace (network mode "host")
        self.shares_host = shares_host
        #: sorted as in libnetwork's sandbox.go: the first one with a gateway owns the default route
        self.endpoints: list[Endpoint] = []
        self.deleted = False
        #: it goes without giving leased addresses back: its container restarts, or its host has crashed
        self.keeps_leases = False
        self._numbers = InterfaceNumbers(controller.profile)
        self._gateway_endpoint: Endpoint | None = None

    @property
    def key(self) -> str:
        """Return the path Docker would show for the namespace."""
        return f"{_KEY_FOLDER}/default" if self.shares_host else f"{_KEY_FOLDER}/{self.id[:12]}"

    @property
    def gateway_endpoint(self) -> Endpoint | None:
        """Return the endpoint that owns the default route, or None."""
        return self._gateway_endpoint

    def endpoint_on(self, network_id: str) -> Endpoint | None:
        """Return this sandbox's endpoint on a network, or None."""
        for endpoint in self.endpoints:
            if endpoint.network.id == network_id:
                return endpoint
        return None

    def delete(self) -> None:
        """Remove the sandbox: every endpoint leaves and gives its address back.

        Nothing is sent when a container stops (FACT 13).

        Raises Conflict when it is deleted already.
        """
        self.controller.delete_sandbox(self)

    # What follows is called by the controller.

    def join(self, endpoint: Endpoint) -> None:
        """Put the endpoint's device into the namespace and configure it; undo everything on an error."""
        with ExitStack() as undo:
            undo.callback(self._update_default_route)  # runs last, when the endpoint is out of the list again
            info = endpoint.network.driver.join(endpoint, self)
            undo.callback(endpoint.network.driver.leave, endpoint)
            endpoint.join_info = info
            endpoint.device = info.device
            leases = endpoint.network.ipam_driver
            waits = endpoint.pending is not None and isinstance(leases, LeasesOnTheWire)
            endpoint.gateway = None if waits else info.gateway  # else it comes with the lease
            endpoint.sandbox = self
            undo.callback(_forget_sandbox, endpoint)
            insort(self.endpoints, endpoint, key=endpoint_key)
            undo.callback(self.endpoints.remove, endpoint)
            if info.device is not None:
                self._add_device(endpoint, info.device, undo)
            self._update_default_route()
            if waits and isinstance(leases, LeasesOnTheWire):
                leases.endpoint_joined(endpoint)
            undo.pop_all()

    def leave(self, endpoint: Endpoint) -> None:
        """Take the endpoint's device out of the namespace and choose a new gateway if this was it."""
        leases = endpoint.network.ipam_driver
        if isinstance(leases, LeasesOnTheWire):
            leases.endpoint_leaving(endpoint)
        self.endpoints.remove(endpoint)
        self._update_default_route()
        if endpoint.device is not None:
            self._remove_device(endpoint.device)
        endpoint.network.driver.leave(endpoint)
        _forget_sandbox(endpoint)

    def address_bound(self, endpoint: Endpoint, announce_count: int | None = None) -> None:
        """Configure an address that came after the endpoint had joined; undo that on an error."""
        self.endpoints.sort(key=endpoint_key)
        with ExitStack() as undo:
            if endpoint.device is not None:
                self._add_address(endpoint, endpoint.device, undo)
            self._update_default_route()
            if isinstance(endpoint.network.driver, FollowsAddresses):
                endpoint.network.driver.address_bound(endpoint)
            undo.pop_all()
        if endpoint.device is not None:
            self._announce(endpoint, endpoint.device, announce_count)
        self.controller.addresses_changed()

    def address_unbound(self, endpoint: Endpoint) -> None:
        """Take a leased address and what came with it out of the namespace."""
        assert endpoint.address is not None, endpoint
        if isinstance(endpoint.network.driver, FollowsAddresses):
            endpoint.network.driver.address_unbound(endpoint)
        address, endpoint.address = endpoint.address, None
        self._update_default_route()
        endpoint.address = address
        if endpoint.device is not None:
            with suppress(NotFound):  # a script may have taken it away already
                self.namespace.remove_address(endpoint.device, str(address))

    def address_refused(self) -> None:
        """Go back to how it was before an address that could not be configured."""
        self.endpoints.sort(key=endpoint_key)
        self._update_default_route()

    def _add_device(self, endpoint: Endpoint, device: NetDevice, undo: ExitStack) -> None:
        info = endpoint.join_info
        taken = self.namespace.devices
        if info.name is not None and info.name in taken:
            raise Conflict(
                f'failed to add interface {device.name} to sandbox: error renaming interface "{device.name}" '
                f'to "{info.name}": file exists'
            )
        name = info.name or self._numbers.name(info.name_prefix, taken)
        _set_mac(device, endpoint.mac)
        self.namespace.add_device(device, name)
        undo.callback(self._remove_device, device)
        device.set_up()
        self._add_address(endpoint, device, undo)
        self._announce(endpoint, device)

    def _add_address(self, endpoint: Endpoint, device: NetDevice, undo: ExitStack) -> None:
        address = endpoint.address
        if address is None:
            return
        self._check_conflict(endpoint, address)
        self.namespace.add_address(device, str(address))
        undo.callback(self.namespace.remove_address, device, str(address))
        for route in endpoint.join_info.static_routes:
            via = None if route.via is None else str(route.via)
            self.namespace.routes.add(str(route.destination), device=device, via=via)

    def _check_conflict(self, endpoint: Endpoint, address: ipaddress.IPv4Interface) -> None:
        for other in self.endpoints:
            if other is not endpoint and other.address is not None \
                    and other.address.network.overlaps(address.network):  # fmt: skip
                raise Conflict(
                    f"cannot program address {address} in sandbox interface because it conflicts with existing "
                    f"route {other.address.network}"
                )

    def _announce(self, endpoint: Endpoint, device: NetDevice, count: int | None = None) -> None:
        info = endpoint.join_info
        count = info.announce_count if count is None else count
        if endpoint.address is not None and count:
            self.namespace.announce(device, str(endpoint.address.ip), count, info.announce_interval_ns)

    def _remove_device(self, device: NetDevice) -> None:
        device.set_down()
        self.namespace.remove_device(device)

    def _update_default_route(self) -> None:
        """Let the default route follow the endpoint that owns it now; nothing is sent (FACTS29 6)."""
        chosen = choose_gateway(self.endpoints)
        current = self._gateway_endpoint
        if chosen is current:
            return
        if current is not None and current.device is not None:
            # The route is gone already when the script had set the interface down.
            with suppress(NotFound):
                self.namespace.routes.remove("default", device=current.device)
        self._gateway_endpoint = None
        if chosen is not None and chosen.device is not None:
            self.namespace.routes.add("default", device=chosen.device, via=str(chosen.gateway))
        self._gateway_endpoint = chosen

    def __repr__(self) -> str:
        return f"<Sandbox {self.container_name} {self.id[:12]} {[e.network.name for e in self.endpoints]}>"


def _set_mac(device: NetDevice, mac: bytes | None) -> None:
    if mac is None:
        return
    try:
        device.set_mac(mac)
    except InvalidValue as error:
        raise InvalidValue(f"failed to add interface {device.name} to sandbox: {error}") from error


def _forget_sandbox(endpoint: Endpoint) -> None:
    endpoint.sandbox = None
    endpoint.device = None
    endpoint.join_info = JoinInfo()


def refuse_deleted(sandbox: Sandbox) -> None:
    """Raise when a sandbox is used after its deletion."""
    if sandbox.deleted:
        raise EmuError(f"the sandbox of container {sandbox.container_name} has been deleted")
