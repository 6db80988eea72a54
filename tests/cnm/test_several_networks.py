"""A container on several networks: default route, interface names, names of containers."""

from __future__ import annotations

import pytest

from emu.cnm.endpoint import EndpointSettings
from emu.kernel.errors import NotSupported
from tests.cnm.attachments import Attachments
from tests.cnm.lab import Lab


def lab_with_networks(engine: str = "29") -> Lab:
    lab = Lab(engine)
    for number, name in enumerate(("web", "aaa", "db")):
        lab.controller.create_network(name, subnet=f"10.{number + 1}.0.0/24")
    lab.controller.create_network("inner", subnet="10.9.0.0/24", internal=True)
    return lab


def default_route(container: Attachments) -> str:
    assert container.sandbox is not None
    lines = container.sandbox.namespace.routes.text().splitlines()
    return next((line.strip() for line in lines if line.startswith("default")), "none")


def interfaces(container: Attachments) -> dict[str, str]:
    assert container.sandbox is not None
    named = {e.device.name: e.network.name for e in container.sandbox.endpoints if e.device is not None}
    return dict(sorted(named.items()))


@pytest.mark.parametrize("engine", ["20.10", "28", "29"])
def test_the_network_whose_name_sorts_first_owns_the_default_route(engine: str) -> None:
    container = lab_with_networks(engine).container("c", "web", "db")
    assert default_route(container).startswith("default via 10.3.0.1")
    container.connect("aaa")
    assert default_route(container).startswith("default via 10.2.0.1 dev eth2")
    container.disconnect("aaa")
    assert default_route(container).startswith("default via 10.3.0.1")


def test_gw_priority_wins_over_the_name_and_can_be_negative() -> None:
    lab = lab_with_networks()
    container = lab.container("c", "aaa")
    container.connect("web", EndpointSettings(gw_priority=5))
    assert default_route(container).startswith("default via 10.1.0.1")
    container.disconnect("web")
    container.connect("web", EndpointSettings(gw_priority=-5))
    assert default_route(container).startswith("default via 10.2.0.1")


def test_engine_20_10_has_no_gw_priority() -> None:
    container = lab_with_networks("20.10").container("c", "aaa")
    with pytest.raises(NotSupported, match=r"gw_priority needs engine 28 or later; this is engine 20\.10"):
        container.connect("web", EndpointSettings(gw_priority=1))


def test_an_internal_network_gives_a_default_route_in_20_10_only_and_never_before_another() -> None:
    for engine, expected in (("20.10", "default via 10.9.0.1 dev eth0"), ("28", "none"), ("29", "none")):
        container = lab_with_networks(engine).container("c", "inner")
        assert default_route(container) == expected
        container.connect("web")
        assert default_route(container).startswith("default via 10.1.0.1")


def test_interfaces_are_numbered_in_sorted_order_at_start_in_20_10_and_as_given_from_28_on() -> None:
    for engine, expected in (
        ("20.10", {"eth0": "aaa", "eth1": "db", "eth2": "web"}),
        ("28", {"eth0": "web", "eth1": "aaa", "eth2": "db"}),
        ("29", {"eth0": "web", "eth1": "aaa", "eth2": "db"}),
    ):
        assert interfaces(lab_with_networks(engine).container("c", "web", "aaa", "db")) == expected


def test_a_freed_interface_number_is_used_again_from_28_on_and_never_in_20_10() -> None:
    for engine, expected in (
        ("20.10", {"eth1": "db", "eth2": "web"}),
        ("29", {"eth0": "web", "eth1": "db"}),
    ):
        container = lab_with_networks(engine).container("c", "aaa", "db")
        container.disconnect("aaa")
        container.connect("web")
        assert interfaces(container) == expected


def test_names_aliases_short_ids_and_hostnames_resolve_on_user_networks_in_any_case() -> None:
    lab = lab_with_networks()
    asker = lab.container("asker", "web")
    other = Attachments(lab.controller, "server", lab.container_id(), hostname="box")
    other.add("web", EndpointSettings(aliases=("www", "shop.example")))
    other.start()
    assert asker.sandbox is not None
    assert other.sandbox is not None
    short_id = other.sandbox.container_id[:12]
    for name in ("server", "SERVER", "server.", "www", "shop.example", short_id, "box", "server.web", "www.WEB"):
        assert lab.controller.resolve(asker.sandbox, name) == ["10.1.0.3"], name
    for name in ("server.db", "nobody", "web", ""):
        assert lab.controller.resolve(asker.sandbox, name) == [], name
    assert other.sandbox.endpoints[0].dns_names == ["server", "www", "shop.example", short_id, "box"]


def test_names_do_not_resolve_on_the_default_bridge_but_a_container_knows_itself() -> None:
    lab = lab_with_networks()
    first, second = lab.container("first", "bridge", hostname="one"), lab.container("second", "bridge")
    assert first.sandbox is not None
    assert second.sandbox is not None
    assert lab.controller.resolve(second.sandbox, "first") == []
    assert lab.controller.resolve(first.sandbox, "one") == ["172.17.0.2"]
    assert lab.controller.resolve(first.sandbox, "localhost") == ["127.0.0.1"]


def test_of_two_networks_that_know_a_name_the_first_in_order_answers() -> None:
    lab = lab_with_networks()
    asker = lab.container("asker", "web", "db")
    lab.container("server", "web", "db")
    assert asker.sandbox is not None
    assert lab.controller.resolve(asker.sandbox, "server") == ["10.3.0.3"]
    assert lab.controller.resolve(asker.sandbox, "server.web") == ["10.1.0.3"]


def test_names_go_with_the_container_and_an_alias_of_several_gives_all_in_random_order() -> None:
    lab = lab_with_networks()
    asker = lab.container("asker", "web")
    servers = []
    for number in range(4):
        server = Attachments(lab.controller, f"s{number}", lab.container_id())
        server.add("web", EndpointSettings(aliases=("pool",)))
        server.start()
        servers.append(server)
    assert asker.sandbox is not None
    answers = [lab.controller.resolve(asker.sandbox, "pool") for _ in range(20)]
    assert {tuple(sorted(answer)) for answer in answers} == {tuple(f"10.1.0.{n}" for n in (3, 4, 5, 6))}
    assert len({tuple(answer) for answer in answers}) > 3
    servers[0].stop()
    assert sorted(lab.controller.resolve(asker.sandbox, "pool")) == [f"10.1.0.{n}" for n in (4, 5, 6)]
