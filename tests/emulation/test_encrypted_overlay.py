"""Encrypted overlay networks as scripts use them: their MTU, what is programmed when, rotation, and what they need."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest

import emu
from emu.kernel.errors import EmuError, InvalidValue
from emu.wire.esp import security_parameters_index

S = 1_000_000_000
HOUR = 3600 * S
MTU_OPTION = "com.docker.network.driver.mtu"


def hosts(count: int = 2, seed: int = 1, control_plane: str = "instant") -> emu.Emulation:
    """Hosts on one switch, and an encrypted network `shop`."""
    net = emu.Emulation(seed=seed, cost="none")
    tor = net.add_switch("tor")
    for number in range(1, count + 1):
        net.add_link(net.add_host(f"host{number}"), tor, delay="5us")
    net.swarm.init(control_plane=control_plane)
    net.networks.create("shop", driver="overlay", attachable=True, options={"encrypted": ""})
    return net


def run(net: emu.Emulation, host: str, name: str, network: str = "shop") -> emu.Container:
    return net.hosts[host].containers.run(name, network=network)


def programmed(net: emu.Emulation, host: str) -> tuple[int, int]:
    """How many associations and policies a host has."""
    xfrm = net.hosts[host].namespace.xfrm
    return len(xfrm.states), len(xfrm.policies)


def protocols(net: emu.Emulation, interface: str) -> set[int]:
    """The IP protocols that leave an interface between now and the end of the run."""
    seen: set[int] = set()

    def tap(now_ns: int, frame: object, direction: int) -> None:
        data = frame.data  # type: ignore[attr-defined]
        if direction == 2 and data[12:14] == b"\x08\0":
            seen.add(data[23])

    host, name = interface.split(":")
    net.hosts[host].namespace.device(name).add_tap(tap)
    net.run()
    return seen


# -- what it is --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "mtu"), [(None, 1424), ("1450", 1372), ("1400", 1324), ("9000", 8924), ("1501", 1424), ("1503", 1424)]
)
def test_the_mtu_is_the_underlays_less_50_and_26_and_a_multiple_of_4(option: str | None, mtu: int) -> None:
    net = hosts()
    options = {"encrypted": ""} | ({} if option is None else {MTU_OPTION: option})
    net.networks.create("net", driver="overlay", attachable=True, options=options)
    web = run(net, "host1", "web", "net")
    assert web.interface("eth0").mtu == mtu


def test_an_mtu_that_leaves_nothing_is_refused_with_the_least_that_does() -> None:
    net = hosts()
    with pytest.raises(InvalidValue, match="invalid MTU value: 143; expected at least 144"):
        net.networks.create("net", driver="overlay", options={"encrypted": "", MTU_OPTION: "143"})
    net.networks.create("net", driver="overlay", attachable=True, options={"encrypted": "", MTU_OPTION: "144"})
    assert run(net, "host1", "web", "net").interface("eth0").mtu == 68


def test_docker_network_inspect_shows_the_option() -> None:
    assert hosts().networks.get("shop").attrs["Options"]["encrypted"] == ""


def test_containers_reach_each_other_and_only_esp_goes_between_the_hosts() -> None:
    net = hosts()
    web, _ = run(net, "host1", "web"), run(net, "host2", "db")
    ping = web.ping("db", count=2)
    assert protocols(net, "host1:eth0") == {50}
    assert ping.result.received == 2


def test_containers_of_one_host_need_no_encryption() -> None:
    net = hosts()
    web, _ = run(net, "host1", "web"), run(net, "host1", "db")
    ping = web.ping("db", count=1)
    net.run()
    assert ping.result.received == 1
    assert programmed(net, "host1") == (0, 0)


def test_an_encrypted_and_an_open_network_work_side_by_side() -> None:
    net = hosts()
    net.networks.create("open", driver="overlay", attachable=True)
    pings = []
    for network in ("shop", "open"):
        web, _ = run(net, "host1", f"web-{network}", network), run(net, "host2", f"db-{network}", network)
        pings.append(web.ping(f"db-{network}", count=1))
    assert protocols(net, "host2:eth0") == {17, 50}
    assert [ping.result.received for ping in pings] == [1, 1]


def test_another_data_path_port_is_encrypted_as_well() -> None:
    net = emu.Emulation(cost="none")
    net.add_link(net.add_host("host1"), net.add_host("host2"))
    net.swarm.init(data_path_port=5000)
    net.networks.create("shop", driver="overlay", attachable=True, options={"encrypted": ""})
    web, _ = run(net, "host1", "web"), run(net, "host2", "db")
    ping = web.ping("db", count=1)
    assert protocols(net, "host1:eth0") == {50}
    assert ping.result.received == 1


def test_without_the_package_the_network_is_refused_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    net = hosts()
    real_import = builtins.__import__

    def no_cryptography(name: str, *rest: object) -> object:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real_import(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", no_cryptography)
    with pytest.raises(EmuError, match=r"pip install cryptography"):
        net.networks.create("other", driver="overlay", options={"encrypted": ""})
    assert [network.name for network in net.networks.list()] == ["ingress", "shop"]


# -- what is programmed when -------------------------------------------------------------------------------------------


def test_each_pair_of_hosts_has_an_association_per_key_to_receive_and_one_to_send() -> None:
    net = hosts(3)
    for number in (1, 2, 3):
        run(net, f"host{number}", f"c{number}")
    assert [programmed(net, host) for host in net.hosts] == [(2 * 4, 2)] * 3


def test_the_spis_are_libnetworks() -> None:
    net = hosts()
    run(net, "host1", "web")
    run(net, "host2", "db")
    one, two = bytes((198, 18, 0, 1)), bytes((198, 18, 0, 2))
    expected = [(one, security_parameters_index(two, one, tag)) for tag in (5, 4, 6)]
    expected.append((two, security_parameters_index(one, two, 5)))
    assert list(net.hosts["host1"].namespace.xfrm.states) == expected


def test_the_associations_of_a_pair_go_with_its_last_endpoint_and_come_back() -> None:
    net = hosts()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    second = run(net, "host2", "second")
    second.stop()
    assert programmed(net, "host1") == (4, 1)
    db.stop()
    assert programmed(net, "host1") == programmed(net, "host2") == (0, 0)
    db.start()
    assert programmed(net, "host1") == programmed(net, "host2") == (4, 1)
    ping = web.ping("db", count=1)
    net.run()
    assert ping.result.received == 1


def test_two_encrypted_networks_share_the_associations_of_a_pair() -> None:
    net = hosts()
    net.networks.create("more", driver="overlay", attachable=True, options={"encrypted": ""})
    run(net, "host1", "web"), run(net, "host2", "db")
    web, db = run(net, "host1", "web2", "more"), run(net, "host2", "db2", "more")
    assert programmed(net, "host1") == (4, 1)
    web.stop()
    db.stop()
    assert programmed(net, "host1") == (4, 1)


def test_an_association_that_a_script_removed_is_missing_until_the_endpoint_comes_anew() -> None:
    net = hosts()
    web, db = run(net, "host1", "web"), run(net, "host2", "db")
    xfrm = net.hosts["host2"].namespace.xfrm
    for destination, spi in list(xfrm.states):
        xfrm.remove_state(destination, spi)
    lost = web.ping("db", count=1, timeout="1s")
    net.run()
    db.stop()
    db.start()
    answered = web.ping("db", count=1)
    net.run()
    assert (lost.result.received, answered.result.received) == (0, 1)


def test_containers_may_start_before_there_are_links() -> None:
    net = emu.Emulation(cost="none")
    h1, h2 = net.add_host("host1"), net.add_host("host2")
    net.networks.create("shop", driver="overlay", attachable=True, options={"encrypted": ""})
    web, _ = run(net, "host1", "web"), run(net, "host2", "db")
    net.add_link(h1, h2)
    ping = web.ping("db", count=1)
    assert protocols(net, "host1:eth0") == {50}
    assert ping.result.received == 1
    assert programmed(net, "host1") == programmed(net, "host2") == (4, 1)


# -- rotation ----------------------------------------------------------------------------------------------------------


def test_no_packet_is_lost_when_keys_are_rotated_again_and_again() -> None:
    net = hosts()
    web, _ = run(net, "host1", "web"), run(net, "host2", "db")
    ping = web.ping("db", count=20, interval="0.5s")
    for second in range(1, 9):
        net.at(f"{second}s", net.swarm.rotate_keys)
    net.run()
    assert ping.result.received == 20
    xfrm = net.hosts["host1"].namespace.xfrm
    used = [state for state in xfrm.history if state.packets]
    assert len(used) == 2 * 9, "every rotation changed both directions"
    assert programmed(net, "host1") == (4, 1)


def test_keys_are_rotated_every_twelve_hours_and_that_keeps_no_run_alive() -> None:
    net = hosts()
    web, _ = run(net, "host1", "web"), run(net, "host2", "db")
    before = set(net.hosts["host1"].namespace.xfrm.states)
    first = web.ping("db", count=1)
    net.run()
    assert net.now < 60 * S
    second = web.ping("db", count=1, at=25 * HOUR)
    net.run()
    assert first.result.received == second.result.received == 1
    after = set(net.hosts["host1"].namespace.xfrm.states)
    assert len(before & after) == 1, "two rotations: one of three keys to receive with is left"


def test_a_host_that_is_cut_off_keeps_the_old_keys_until_it_is_back() -> None:
    net = hosts(control_plane="delayed")
    web, _ = run(net, "host1", "web"), run(net, "host2", "db")
    net.at("10s", net.swarm.cut_off, "host2")
    pings = []
    for second in (11, 12, 13):  # nobody has noticed yet that host2 is cut off
        net.at(f"{second}s", net.swarm.rotate_keys)
        pings.append(web.ping("db", count=1, at=f"{second}.5s", timeout="0.2s"))
    net.at("30s", net.swarm.repair, "host2")
    pings.append(web.ping("db", count=1, at="40s"))
    result = net.run()
    assert [ping.result.received for ping in pings] == [1, 0, 0, 1], "host1 sends with keys that host2 never got"
    assert result.drops["no IPsec security association fits"] == 2


# -- files -------------------------------------------------------------------------------------------------------------


def test_the_keys_are_written_beside_the_capture_after_the_run(tmp_path: Path) -> None:
    net = hosts()
    net.folder = tmp_path
    net.capture("deep/c.pcapng", interfaces=["host1:*"])
    run(net, "host1", "web"), run(net, "host2", "db")
    with net:
        net.run()
    records = [line for line in (tmp_path / "deep" / "esp_sa").read_text().splitlines() if not line.startswith("#")]
    assert len(records) == 6, "three keys in both directions; each host knows one of them to send with"
    assert net.esp_sa_files == [tmp_path / "deep" / "esp_sa"]


def test_a_run_without_encryption_writes_no_keys(tmp_path: Path) -> None:
    net = emu.Emulation(cost="none")
    net.folder = tmp_path
    net.capture("c.pcapng")
    net.host.containers.run("web")
    with net:
        net.run()
    assert not (tmp_path / "esp_sa").exists()


def test_the_seed_decides_keys_and_ciphertext() -> None:
    def keys(seed: int) -> list[bytes]:
        net = hosts(seed=seed)
        run(net, "host1", "web"), run(net, "host2", "db")
        return [state.key for state in net.hosts["host1"].namespace.xfrm.history]

    assert keys(1) == keys(1)
    assert keys(1) != keys(2)
