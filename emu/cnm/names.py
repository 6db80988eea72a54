"""Names of containers, answered from the controller's records by the rules of the embedded DNS server.

No packets are sent. Source: libnetwork resolver.go, FACTS 83-85, 87.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from emu.cnm.endpoint import Endpoint
    from emu.cnm.sandbox import Sandbox


def names_of(container_name: str, aliases: list[str], container_id: str, hostname: str) -> list[str]:
    """Return the names an endpoint is found by, in order, each once: container, aliases, short id, hostname."""
    wanted = [container_name, *aliases, container_id[:12], hostname]
    return list(dict.fromkeys(name for name in wanted if name))


def resolve(sandbox: Sandbox, name: str, shuffle: Random) -> list[str]:
    """Return the IPv4 addresses a program in this sandbox gets for a name; none when it is unknown.

    `/etc/hosts` comes first (localhost and the container's own host name), then the networks in the
    sandbox's order, the default bridge excepted: the first network that knows the name answers. A name
    `web.shop` is looked for as such, then as `web` on the network `shop`.

    name: any case, a trailing dot is ignored.
    shuffle: random stream; several answers come in random order, as from Docker.
    """
    wanted = name.rstrip(".").lower()
    if wanted == "localhost":
        return ["127.0.0.1"]
    if wanted == sandbox.hostname.lower():
        own = [
            str(endpoint.address.ip)
            for endpoint in sandbox.endpoints
            if endpoint.address is not None and not endpoint.network.is_gateway_bridge
        ]
        if own:
            return own
    found = _on_any_network(sandbox, wanted)
    if len(found) > 1:
        shuffle.shuffle(found)
    return found


def reverse(sandbox: Sandbox, address: str) -> str | None:
    """Return the name a program in this sandbox gets for an address, `db.shop`; None when there is none.

    `/etc/hosts` comes first: the sandbox's own addresses have its host name. The embedded server knows the
    containers of the sandbox's own networks, not their gateways (FACT 84).
    """
    if address == "127.0.0.1":
        return "localhost"
    if any(endpoint.address is not None and str(endpoint.address.ip) == address for endpoint in sandbox.endpoints):
        return sandbox.hostname
    for endpoint in sandbox.endpoints:
        if endpoint.network.resolves_names:
            for other in endpoint.network.endpoints.values():
                if other.address is not None and other.dns_names and str(other.address.ip) == address:
                    return f"{other.dns_names[0]}.{endpoint.network.name}"
    return None


def _on_any_network(sandbox: Sandbox, wanted: str) -> list[str]:
    own = [endpoint for endpoint in sandbox.endpoints if endpoint.network.resolves_names]
    own.sort(key=_swarm_first)
    labels = wanted.split(".")
    for split in range(len(labels), 0, -1):
        host, suffix = ".".join(labels[:split]), ".".join(labels[split:])
        for endpoint in own:
            if suffix and endpoint.network.name.lower() != suffix:
                continue
            found = _on_network(endpoint, host)
            if found:
                return found
    return []


def _swarm_first(endpoint: Endpoint) -> int:
    """Overlay networks of users are asked before the ingress network, local networks last."""
    network = endpoint.network
    return 2 if network.overlay is None else int(network.is_ingress)


def _on_network(endpoint: Endpoint, host: str) -> list[str]:
    local = [
        str(other.address.ip)
        for other in endpoint.network.endpoints.values()
        if other.address is not None
        and other.sandbox is not None
        and any(host == known.lower() for known in other.dns_names)
    ]
    remote = [
        str(record.address.ip)
        for record in endpoint.network.peers.values()
        if record.address is not None and any(host == known.lower() for known in record.names)
    ]
    return list(dict.fromkeys(local + remote))
