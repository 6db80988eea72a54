"""How others write drivers: an address manager that leases, and a network driver of one's own."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest

from emu.cnm.controller import Controller
from emu.cnm.drivers.driver import Driver, DriverCapabilities, JoinInfo
from emu.cnm.endpoint import Endpoint, EndpointSettings
from emu.cnm.ids import format_mac
from emu.cnm.ipam.driver import ENDPOINT_MAC, IpamCapabilities, IpamDriver, Pending, Pool, PoolRequest
from emu.cnm.network import Network
from emu.cnm.sandbox import Sandbox
from emu.kernel.errors import Conflict, InvalidValue, NotFound
from tests.cnm.lab import Lab

REPOSITORY = Path(__file__).resolve().parents[2]


class LeasingIpam:
    """Gives addresses later, as DHCP does; the gateway is known."""

    def __init__(self) -> None:
        self.macs: list[str] = []
        self.released: list[str] = []

    def capabilities(self) -> IpamCapabilities:
        return IpamCapabilities(requires_mac_address=True)

    def get_default_address_spaces(self) -> tuple[str, str]:
        return "lan", "lan"

    def request_pool(self, request: PoolRequest) -> Pool:
        subnet = ipaddress.IPv4Network(request.pool or "192.0.2.0/24")
        return Pool(str(subnet), subnet, {"com.docker.network.gateway": f"{subnet[1]}/{subnet.prefixlen}"})

    def release_pool(self, pool_id: str) -> None:
        self.released.append(pool_id)

    def request_address(
        self, pool_id: str, preferred: ipaddress.IPv4Address | None, options: Mapping[str, str]
    ) -> Pending:
        self.macs.append(options[ENDPOINT_MAC])
        return Pending("waiting for a DHCP offer")

    def release_address(self, pool_id: str, address: ipaddress.IPv4Address) -> None:
        self.released.append(str(address))


class LoneDriver:
    """A driver without devices that notes its calls."""

    def __init__(self, calls: list[str], fail_at: str = "") -> None:
        self.calls = calls
        self.fail_at = fail_at

    def _note(self, call: str) -> None:
        if call == self.fail_at:
            raise InvalidValue(f"{call} failed")
        self.calls.append(call)

    def capabilities(self) -> DriverCapabilities:
        return DriverCapabilities()

    def create_network(self, network: Network) -> None:
        self._note("create_network")

    def delete_network(self, network: Network) -> None:
        self._note("delete_network")

    def create_endpoint(self, endpoint: Endpoint) -> None:
        self._note("create_endpoint")
        endpoint.mac = endpoint.mac or b"\x02\0\0\0\0\x01"

    def delete_endpoint(self, endpoint: Endpoint) -> None:
        self._note("delete_endpoint")

    def join(self, endpoint: Endpoint, sandbox: Sandbox) -> JoinInfo:
        self._note("join")
        return JoinInfo()

    def leave(self, endpoint: Endpoint) -> None:
        self._note("leave")


def test_the_examples_are_what_the_protocols_ask_for() -> None:
    assert isinstance(LeasingIpam(), IpamDriver)
    assert isinstance(LoneDriver([]), Driver)


def test_a_leased_address_comes_later_and_then_everything_follows() -> None:
    lab, ipam = Lab("29"), LeasingIpam()
    lab.controller.register_ipam_driver("lease", ipam)
    lab.controller.create_network("lan", ipam="lease", subnet="192.0.2.0/24")
    container = lab.container("web", "lan")
    asker = lab.container("asker", "lan")
    assert container.sandbox is not None
    assert asker.sandbox is not None
    endpoint = container.sandbox.endpoints[0]
    namespace = container.sandbox.namespace
    device = namespace.device("eth0")
    assert (endpoint.address, endpoint.pending) == (None, Pending("waiting for a DHCP offer"))
    assert ipam.macs[0] == format_mac(endpoint.mac) == format_mac(device.mac)
    assert namespace.addresses(device) == []
    assert lab.controller.resolve(asker.sandbox, "web") == []
    assert container.network_settings()["Networks"]["lan"]["IPAddress"] == ""

    endpoint.bind("192.0.2.77/24")

    assert namespace.addresses(device) == ["192.0.2.77/24"]
    assert "default via 192.0.2.1 dev eth0" in namespace.routes.text()
    assert lab.controller.resolve(asker.sandbox, "web") == ["192.0.2.77"]
    assert container.network_settings()["Networks"]["lan"]["IPAddress"] == "192.0.2.77"
    with pytest.raises(Conflict, match="endpoint web of network lan is not waiting for an address"):
        endpoint.bind("192.0.2.78/24")
    container.stop()
    assert ipam.released == ["192.0.2.77"]


def test_a_lease_may_bring_its_own_gateway() -> None:
    lab = Lab()
    lab.controller.create_network("lan", ipam=LeasingIpam())
    container = lab.container("web", "lan")
    assert container.sandbox is not None
    container.sandbox.endpoints[0].bind("192.0.2.77/24", gateway="192.0.2.254")
    assert "default via 192.0.2.254 dev eth0" in container.sandbox.namespace.routes.text()


def test_a_lease_must_be_an_address() -> None:
    lab = Lab()
    lab.controller.create_network("lan", ipam=LeasingIpam())
    container = lab.container("web", "lan")
    assert container.sandbox is not None
    with pytest.raises(InvalidValue, match=r"bind: .*nonsense"):
        container.sandbox.endpoints[0].bind("nonsense")
    assert container.sandbox.endpoints[0].pending is not None


@pytest.mark.parametrize(
    ("address", "gateway", "message"),
    [
        ("10.9.9.9/24", None, r"bind: 10.9.9.9/24 is not of network lan: expected an address of 192.0.2.0/24"),
        ("192.0.2.9/8", None, r"bind: 192.0.2.9/8 is not of network lan"),
        ("192.0.2.9/24", "10.9.9.1", r"bind: gateway 10.9.9.1 can't be reached"),
    ],
)
def test_a_lease_that_does_not_fit_its_network_leaves_everything_as_it_was(
    address: str, gateway: str | None, message: str
) -> None:
    lab = Lab()
    lab.controller.create_network("lan", ipam=LeasingIpam(), subnet="192.0.2.0/24")
    container = lab.container("web", "lan")
    assert container.sandbox is not None
    endpoint = container.sandbox.endpoints[0]
    namespace = container.sandbox.namespace
    before = (endpoint.pending, endpoint.gateway, namespace.routes.text())
    with pytest.raises(InvalidValue, match=message):
        endpoint.bind(address, gateway)
    assert (endpoint.pending, endpoint.gateway, namespace.routes.text()) == before
    assert endpoint.address is None
    assert namespace.addresses(namespace.device("eth0")) == []
    endpoint.bind("192.0.2.77/24")
    assert namespace.addresses(namespace.device("eth0")) == ["192.0.2.77/24"]


def test_a_lease_that_conflicts_with_a_route_of_the_container_leaves_everything_as_it_was() -> None:
    lab = Lab()
    lab.controller.create_network("lan", ipam=LeasingIpam(), subnet="192.0.2.0/24")
    container = lab.container("web", "lan")
    assert container.sandbox is not None
    endpoint = container.sandbox.endpoints[0]
    namespace = container.sandbox.namespace
    device = namespace.device("eth0")
    namespace.add_address(device, "198.51.100.1/24")
    namespace.routes.add("default", device=device, via="198.51.100.2")
    with pytest.raises(Conflict):
        endpoint.bind("192.0.2.77/24")
    assert endpoint.address is None
    assert endpoint.pending is not None
    assert namespace.addresses(device) == ["198.51.100.1/24"]
    namespace.routes.remove("default", device=device)
    endpoint.bind("192.0.2.77/24")
    assert "default via 192.0.2.1 dev eth0" in namespace.routes.text()


def test_the_mac_is_random_when_the_address_manager_needs_it_first_even_in_20_10() -> None:
    lab = Lab("20.10")
    lab.controller.create_network("lan", ipam=LeasingIpam())
    container = lab.container("web", "lan")
    assert container.sandbox is not None
    endpoint = container.sandbox.endpoints[0]
    endpoint.bind("192.0.2.77/24")
    assert endpoint.mac is not None
    assert endpoint.mac != bytes.fromhex("0242c000024d")


def test_a_driver_is_called_in_libnetwork_s_order() -> None:
    lab, calls = Lab(), list[str]()
    lab.controller.register_driver("lone", LoneDriver(calls))
    lab.controller.create_network("far", driver="lone", subnet="10.5.0.0/24")
    lab.container("web", "far").stop()
    lab.controller.remove_network("far")
    assert calls == [
        "create_network", "create_endpoint", "join", "leave", "delete_endpoint", "delete_network",
    ]  # fmt: skip


@pytest.mark.parametrize("fail_at", ["create_network", "create_endpoint", "join"])
def test_what_a_failing_driver_had_begun_is_undone_in_reverse_order(fail_at: str) -> None:
    lab, calls = Lab(), list[str]()
    driver = LoneDriver(calls, fail_at)
    lab.controller.register_driver("lone", driver)

    def use() -> None:
        lab.controller.create_network("far", driver="lone", subnet="10.5.0.0/24")
        lab.container("web", "far")

    with pytest.raises(InvalidValue, match=f"{fail_at} failed"):
        use()
    expected = {
        "create_network": [],
        "create_endpoint": ["create_network"],
        "join": ["create_network", "create_endpoint", "delete_endpoint"],
    }
    assert calls == expected[fail_at]
    driver.fail_at = ""
    if fail_at != "create_network":
        lab.controller.remove_network("far")
    network = lab.controller.create_network("far", driver="lone", subnet="10.5.0.0/24")
    assert network.attrs["Status"]["IPAM"]["Subnets"]["10.5.0.0/24"]["IPsInUse"] == 3


def test_a_driver_s_name_can_be_taken_once() -> None:
    lab = Lab()
    with pytest.raises(Conflict, match='a driver named "bridge" is registered already'):
        lab.controller.register_driver("bridge", LoneDriver([]))
    with pytest.raises(InvalidValue, match="a driver needs a name"):
        lab.controller.register_driver("", LoneDriver([]))


def test_an_installed_package_brings_drivers_by_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Controller] = []

    class Entry:
        def load(self) -> object:
            return self.make

        @staticmethod
        def make(controller: Controller) -> LeasingIpam:
            made.append(controller)
            return LeasingIpam()

    def entry_points(*, group: str, name: str) -> list[Entry]:
        return [Entry()] if (group, name) == ("emu.ipam_drivers", "installed") else []

    monkeypatch.setattr("emu.cnm.registry.entry_points", entry_points)
    lab = Lab()
    lab.controller.create_network("one", ipam="installed", subnet="10.5.0.0/24")
    lab.controller.create_network("two", ipam="installed", subnet="10.6.0.0/24")
    assert made == [lab.controller]
    with pytest.raises(NotFound, match='plugin "missing" not found'):
        lab.controller.create_network("three", ipam="missing")
    assert metadata.entry_points(group="emu.ipam_drivers", name="missing") is not None


def test_the_address_manager_of_the_documentation_works_as_an_installed_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = (REPOSITORY / "docs" / "dhcp.md").read_text()
    (module,) = [text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class EvenAddresses" in text]
    (declaration,) = re.findall(r"^even = \"(\w+:\w+)\"$", page, re.MULTILINE)
    (tmp_path / f"{declaration.partition(':')[0]}.py").write_text(module)
    metadata_folder = tmp_path / "even_addresses-1.0.dist-info"
    metadata_folder.mkdir()
    (metadata_folder / "METADATA").write_text("Metadata-Version: 2.1\nName: even-addresses\nVersion: 1.0\n")
    (metadata_folder / "entry_points.txt").write_text(f"[emu.ipam_drivers]\neven = {declaration}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    lab = Lab()
    lab.controller.create_network("lan", ipam={"driver": "even"}, subnet="10.5.0.0/24")
    containers = [lab.container(name, "lan") for name in ("web", "db")]
    addresses = [container.sandbox.endpoints[0].address for container in containers if container.sandbox is not None]
    assert [str(address) for address in addresses] == ["10.5.0.2/24", "10.5.0.4/24"]
    containers[0].stop()
    again = lab.container("cache", "lan")
    assert again.sandbox is not None
    assert str(again.sandbox.endpoints[0].address) == "10.5.0.2/24"


def test_a_lease_that_is_lost_is_taken_out_and_another_one_can_come() -> None:
    lab = Lab()
    lab.controller.create_network("lan", ipam=LeasingIpam(), subnet="192.0.2.0/24")
    container, asker = lab.container("web", "lan"), lab.container("asker", "lan")
    assert container.sandbox is not None
    assert asker.sandbox is not None
    endpoint, namespace = container.sandbox.endpoints[0], container.sandbox.namespace
    with pytest.raises(Conflict, match="endpoint web of network lan has no address"):
        endpoint.unbind(Pending("expired"))
    endpoint.bind("192.0.2.77/24")
    endpoint.unbind(Pending("expired"))
    assert (endpoint.address, endpoint.pending) == (None, Pending("expired"))
    assert namespace.addresses(namespace.device("eth0")) == []
    assert namespace.routes.text() == ""
    assert lab.controller.resolve(asker.sandbox, "web") == []
    endpoint.bind("192.0.2.78/24")
    assert lab.controller.resolve(asker.sandbox, "web") == ["192.0.2.78"]
    assert "default via 192.0.2.1 dev eth0" in namespace.routes.text()
    container.stop()


def test_a_fixed_address_is_passed_to_the_address_manager() -> None:
    lab = Lab()
    lab.controller.create_network("n", subnet="10.5.0.0/24")
    container = lab.container("web", "bridge")
    endpoint = container.connect("n", EndpointSettings(ipv4_address="10.5.0.99"))
    assert endpoint is not None
    assert str(endpoint.address) == "10.5.0.99/24"
