"""The containers of one host: `host.containers`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emu import arguments
from emu.container import Container
from emu.kernel.errors import Conflict, InvalidValue, NotFound, NotSupported
from emu.network import Network

if TYPE_CHECKING:
    from emu.host import Host

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

NetworkChoice = Network | str


class HostContainers:
    """Runs containers on a host and finds them."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def run(
        self,
        name: str,
        *,
        image: str = "emu",
        command: str | Sequence[str] | None = None,
        network: NetworkChoice | Sequence[NetworkChoice] | None = None,
        ipv4_address: str | None = None,
        mac_address: str | None = None,
        publish: Sequence[str] = (),
        aliases: Sequence[str] = (),
        dns: Sequence[str] = (),
        hostname: str | None = None,
        labels: Mapping[str, str] | None = None,
        sysctls: Mapping[str, Any] | None = None,
        offload: bool = False,
    ) -> Container:
        """Create a container and start it, as `docker run -d --name`.

        name: unique in the emulation, because interfaces are named by it.
        image, command: recorded in `attrs` only: programs are started with `ping`, `spawn` and so on.
        network: None is the default bridge; a network, its name, a list of these, "none", "host" or "container:X".
        ipv4_address, mac_address, aliases: on the first network.
        hostname: None is the beginning of the id. sysctls: of its namespace, by Linux name.
        offload: it leaves checksums and cutting TCP segments to the hardware, as on a real host where nobody switched
        that off: captures inside the host show segments of up to 64 KiB and unfinished checksums.
        Raises Conflict, InvalidValue and NotFound in Docker's words, and then there is no container.
        """
        if publish:
            raise NotSupported("publish=: published ports are not built yet; leave it out")
        if dns:
            raise NotSupported("dns=: name servers are not built yet; leave it out")
        self._check_name(name)
        for key, value in (
            ("ipv4_address", ipv4_address), ("mac_address", mac_address), ("hostname", hostname), ("image", image),
        ):  # fmt: skip
            arguments.text(key, value)
        container = Container(
            self._host,
            name,
            image=image,
            command=command,
            hostname=hostname,
            labels=arguments.mapping("labels", labels),
            sysctls=arguments.mapping("sysctls", sysctls),
            network=self._choices(network),
            ipv4_address=ipv4_address,
            mac_address=mac_address,
            aliases=arguments.texts("aliases", aliases),
            offload=arguments.flag("offload", offload),
        )
        net = self._host.net
        interfaces = len(net.interfaces.devices)
        net.containers[name] = container
        try:
            container.start()
        except BaseException:
            del net.containers[name]
            net.interfaces.forget_since(interfaces)
            raise
        return container

    def get(self, name: str) -> Container:
        """A container of this host by name, id or unique beginning of an id. Raises NotFound in Docker's words."""
        for container in self.list():
            if name in (container.name, container.id):
                return container
        matches = [container for container in self.list() if name and container.id.startswith(name)]
        if len(matches) != 1:
            raise NotFound(f"No such container: {name}")
        return matches[0]

    def list(self) -> Sequence[Container]:
        """All containers of this host, also stopped ones, in the order in which they were created."""
        return [container for container in self._host.net.containers.values() if container.host is self._host]

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidValue(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        other = self._host.net.containers.get(name)
        if other is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{other.id}". You have to '
                "remove (or rename) that container to be able to reuse that name."
            )
        self._host.net.check_name(name, "container")

    def _choices(self, network: NetworkChoice | Sequence[NetworkChoice] | None) -> Sequence[NetworkChoice]:
        """Check the networks asked for; networks of other hosts are refused here."""
        if network is None:
            return []
        choices = list(network) if isinstance(network, Sequence) and not isinstance(network, str) else [network]
        if not choices:
            raise InvalidValue('network=[]: expected at least one network; for a container without any, "none"')
        for choice in choices:
            if not isinstance(choice, (str, Network)):
                raise InvalidValue(f"network={choice!r}: expected a network or its name")
            if isinstance(choice, Network) and choice.host is not self._host and choice.cnm.overlay is None:
                raise Conflict(f"network {choice.name} belongs to {choice.host.name}, not to {self._host.name}")
        return choices
