"""A container for the tests of this floor: the smallest thing that starts, stops and keeps its settings.

The container that scripts use is a floor above. It keeps its settings (fixed address, MAC, aliases) per network;
sandbox and endpoints exist only while it runs. So a start takes the lowest free address of the moment, unless the
address is fixed (FACT 74).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from emu.cnm import inspect
from emu.cnm.endpoint import Endpoint, EndpointSettings
from emu.cnm.naming import start_order
from emu.cnm.settings import check_notation, check_settings, start_error
from emu.kernel.errors import Conflict, EmuError, NotFound

if TYPE_CHECKING:
    from emu.cnm.controller import Controller
    from emu.cnm.network import Network
    from emu.cnm.sandbox import Sandbox


class _Attachment:
    """The settings of one network; ``network_id`` is known from the first start on."""

    __slots__ = ("network_id", "network_name", "settings")

    def __init__(self, network_name: str, settings: EndpointSettings) -> None:
        self.network_name = network_name
        self.network_id = ""
        self.settings = settings


class Attachments:
    """A container's networks: its settings while it is stopped, its sandbox while it runs.

    :param controller: the host's controller.
    :param container_name: also the name of its endpoints.
    :param container_id: 64 hex digits.
    :param hostname: None is the first 12 digits of the id.
    :param sysctls: settings of the namespace, by Linux name.
    """

    def __init__(
        self,
        controller: Controller,
        container_name: str,
        container_id: str,
        *,
        hostname: str | None = None,
        sysctls: Mapping[str, Any] | None = None,
    ) -> None:
        self._controller = controller
        self._container_name = container_name
        self._container_id = container_id
        self._hostname = hostname
        self._sysctls = sysctls
        self._attachments: dict[str, _Attachment] = {}
        self.sandbox: Sandbox | None = None

    @property
    def network_names(self) -> list[str]:
        """Return the names of the container's networks in the order they were given."""
        return list(self._attachments)

    def add(self, network: str, settings: EndpointSettings | None = None) -> None:
        """Note a network for the next start; it is looked up only then, as in Docker.

        :raises InvalidValue: from engine 28 on, for settings that don't fit a network that exists.
        :raises Conflict: when it is noted already.
        """
        wanted = settings or EndpointSettings()
        profile = self._controller.profile
        try:
            found = self._controller.network(network)
        except NotFound:
            found = None
        check_notation(profile, wanted)
        if found is not None and profile.static_address_checked_early:
            check_settings(profile, found, wanted, at_start=True)
        name = network if found is None else found.name
        if name in self._attachments:
            raise Conflict(f"endpoint with name {self._container_name} already exists in network {name}")
        self._attachments[name] = _Attachment(name, wanted)

    def start(self) -> Sandbox:
        """Make the sandbox and connect every network; on an error nothing of it is left.

        :raises EmuError: with the engine's text (``failed to set up container networking: ...`` from 28 on).
        """
        assert self.sandbox is None, self._container_name
        with ExitStack() as undo:
            try:
                networks = {name: self._lookup(entry) for name, entry in self._attachments.items()}
                shares_host = any(network.driver_name == "host" for network in networks.values())
                sandbox = self._controller.create_sandbox(
                    self._container_name,
                    self._container_id,
                    hostname=self._hostname,
                    sysctls=self._sysctls,
                    share_host=shares_host,
                )
                undo.callback(sandbox.delete)
                by_id = {network.id: self._attachments[name] for name, network in networks.items()}
                wanted = [(network, by_id[network.id].settings.gw_priority) for network in networks.values()]
                for network in start_order(self._controller.profile, wanted):
                    self._connect(network, sandbox, by_id[network.id].settings, at_start=True)
                    by_id[network.id].network_id = network.id
            except EmuError as error:
                raise start_error(self._controller.profile, error) from error
            undo.pop_all()
        self.sandbox = sandbox
        return sandbox

    def stop(self) -> None:
        """Remove the sandbox: all addresses are free at once."""
        assert self.sandbox is not None, self._container_name
        self.sandbox.delete()
        self.sandbox = None

    def connect(self, network: Network | str, settings: EndpointSettings | None = None) -> Endpoint | None:
        """Connect a network, at once when the container runs, else from the next start on.

        :return: the endpoint, or None when the container doesn't run.
        :raises EmuError: as :meth:`emu.cnm.controller.Controller.connect`.
        """
        found = self._controller.network(network if isinstance(network, str) else network.id)
        wanted = settings or EndpointSettings()
        if self.sandbox is None:
            check_settings(self._controller.profile, found, wanted, at_start=False)
            self.add(found.name, wanted)
            self._attachments[found.name].network_id = found.id
            return None
        endpoint = self._connect(found, self.sandbox, wanted, at_start=False)
        attachment = _Attachment(found.name, wanted)
        attachment.network_id = found.id
        self._attachments[found.name] = attachment
        return endpoint

    def disconnect(self, network: Network | str, *, force: bool = False) -> None:
        """Disconnect a network and forget its settings.

        :raises Conflict: when it isn't connected.
        """
        found = self._controller.network(network if isinstance(network, str) else network.id)
        if self.sandbox is not None:
            self._controller.disconnect(found, self.sandbox, force=force)
        elif found.name not in self._attachments:
            text = self._controller.profile.text(
                "not_connected_stopped", container=self._container_id, network=found.name
            )
            raise Conflict(text)
        self._attachments.pop(found.name, None)

    def network_settings(self) -> dict[str, Any]:
        """Return ``NetworkSettings`` of ``docker inspect`` in the engine's form."""
        profile = self._controller.profile
        networks: list[tuple[str, dict[str, Any]]] = []
        for name, entry in sorted(self._attachments.items()):
            endpoint = None if self.sandbox is None else self.sandbox.endpoint_on(entry.network_id)
            networks.append((name, inspect.endpoint_attrs(profile, entry.settings, endpoint, entry.network_id)))
        return inspect.network_settings(profile, self.sandbox, networks)

    def _lookup(self, entry: _Attachment) -> Network:
        return self._controller.network(entry.network_id or entry.network_name)

    def _connect(self, network: Network, sandbox: Sandbox, settings: EndpointSettings, *, at_start: bool) -> Endpoint:
        return self._controller.connect(
            network,
            sandbox,
            aliases=settings.aliases,
            ipv4_address=settings.ipv4_address,
            mac_address=settings.mac_address,
            gw_priority=settings.gw_priority,
            driver_opts=settings.driver_opts,
            at_start=at_start,
        )
