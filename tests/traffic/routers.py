"""A container behind two routers: web (172.17.0.2) on h1, then h2, then h3 (198.18.1.2); each cable takes 1 ms."""

from __future__ import annotations

import emu

FAR = "198.18.1.2"
NEAR_ROUTER, FAR_ROUTER = "172.17.0.1", "198.18.0.2"


def behind_two_routers() -> tuple[emu.Emulation, emu.Container]:
    """Return the emulation and the container."""
    net = emu.Emulation(seed=1)
    h1, h2, h3 = (net.add_host(f"h{number}") for number in (1, 2, 3))
    net.add_link(h1, h2, rate="1Gbit", delay="1ms")
    net.add_link(h2, h3, rate="1Gbit", delay="1ms")
    web = h1.containers.run("web")
    for host, gateway in ((h2, "198.18.0.1"), (h3, "198.18.1.1")):
        namespace = host.interface("eth0") and host.namespace
        namespace.routes.add("172.17.0.2/32", via=gateway, device=namespace.device("eth0"))
    return net, web
