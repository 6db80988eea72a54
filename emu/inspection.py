"""What `docker inspect` prints of a container, as far as emu knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emu.cnm import inspect

if TYPE_CHECKING:
    from emu.cnm.sandbox import Sandbox
    from emu.container import Container


def container_attrs(container: Container, sandbox: Sandbox | None) -> dict[str, Any]:
    """One element of `docker inspect`, reduced to what an emulated container has.

    Limits: no process, no file system: State, Config and HostConfig have only the keys that mean something here.
    """
    command = container.command
    return {
        "Id": container.id,
        "Created": inspect.timestamp(container.created_ns),
        "State": {"Status": container.state, "Running": container.running},
        "Image": container.image,
        "Name": f"/{container.name}",
        "HostConfig": {"NetworkMode": container.attachment.text, "Sysctls": dict(container.sysctls)},
        "Config": {
            "Hostname": container.hostname or container.id[:12],
            "Cmd": [command] if isinstance(command, str) else list(command or []) or None,
            "Image": container.image,
            "Labels": dict(container.labels),
        },
        "NetworkSettings": _network_settings(container, sandbox),
    }


def _network_settings(container: Container, sandbox: Sandbox | None) -> dict[str, Any]:
    profile = container.net.profile
    networks = []
    for connection in container.attachment.connections:
        endpoint = None if sandbox is None else sandbox.endpoint_on(connection.network.id)
        attrs = inspect.endpoint_attrs(profile, connection.settings, endpoint, connection.network.id)
        networks.append((connection.network.name, attrs))
    return inspect.network_settings(profile, sandbox, networks)
