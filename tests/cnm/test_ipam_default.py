"""The default address manager: pools, addresses, and the engine's error texts."""

from __future__ import annotations

import ipaddress
import time
import tracemalloc

import pytest

from emu.cnm.ipam.default import DefaultIpam
from emu.cnm.ipam.driver import SERIAL, Pool, PoolRequest
from emu.cnm.ipam.null import NullIpam
from emu.cnm.ipam.pools import PoolBase
from emu.cnm.profile import profile
from emu.kernel.errors import Conflict, EmuError, InvalidValue, NotFound

ENGINES = ("20.10", "28", "29")
PARSE_FAILED = 'failed to parse pool request for address space "LocalDefault" '


def make(engine: str = "29") -> DefaultIpam:
    return DefaultIpam(profile(engine))


def pool(ipam: DefaultIpam, subnet: str = "", sub_pool: str = "", exclude: tuple[str, ...] = ()) -> Pool:
    networks = [ipaddress.IPv4Network(text) for text in exclude]
    return ipam.request_pool(PoolRequest("LocalDefault", subnet, sub_pool, exclude=networks))


def address(ipam: DefaultIpam, granted: Pool, preferred: str | None = None, *, serial: bool = False) -> str:
    wanted = None if preferred is None else ipaddress.IPv4Address(preferred)
    return str(ipam.request_address(granted.pool_id, wanted, {SERIAL: "true"} if serial else {}))


def default_subnets(ipam: DefaultIpam, exclude: tuple[str, ...] = ()) -> list[str]:
    found = []
    while True:
        try:
            found.append(str(pool(ipam, exclude=exclude).subnet))
        except Conflict as error:
            found.append(str(error))
            return found


@pytest.mark.parametrize("engine", ENGINES)
def test_there_are_31_default_pools_in_docker_s_order(engine: str) -> None:
    *subnets, error = default_subnets(make(engine))
    expected = [f"172.{n}.0.0/16" for n in range(17, 32)] + [f"192.168.{n}.0/20" for n in range(0, 256, 16)]
    assert subnets == expected
    assert error == profile(engine).text("pools_exhausted")


@pytest.mark.parametrize("engine", ENGINES)
def test_default_pools_avoid_the_host_s_routes_and_resolvers(engine: str) -> None:
    *subnets, _ = default_subnets(make(engine), exclude=("172.18.0.0/24", "172.20.0.0/14", "192.168.1.53/32"))
    assert subnets[:4] == ["172.17.0.0/16", "172.19.0.0/16", "172.24.0.0/16", "172.25.0.0/16"]
    assert "192.168.0.0/20" not in subnets
    assert len(subnets) == 31 - 1 - 4 - 1


def test_a_freed_default_pool_is_the_next_one_from_engine_28_on_but_not_in_20_10() -> None:
    for engine, expected in (("20.10", "172.19.0.0/16"), ("28", "172.18.0.0/16"), ("29", "172.18.0.0/16")):
        ipam = make(engine)
        pool(ipam)
        second = pool(ipam)
        ipam.release_pool(second.pool_id)
        assert str(pool(ipam).subnet) == expected, engine


def test_engine_29_cuts_a_default_pool_of_the_size_asked_for() -> None:
    ipam = make("29")
    assert str(pool(ipam, "0.0.0.0/24").subnet) == "172.17.0.0/24"
    assert str(pool(ipam, "0.0.0.0/24").subnet) == "172.17.1.0/24"
    assert str(pool(ipam, "0.0.0.0/15").subnet) == "172.20.0.0/15"


def test_pools_of_a_space_must_not_overlap_but_local_and_global_spaces_are_separate() -> None:
    for engine in ENGINES:
        ipam = make(engine)
        pool(ipam, "10.0.0.0/16")
        for other in ("10.0.0.0/16", "10.0.5.0/24", "10.0.0.0/8"):
            with pytest.raises(Conflict, match="Pool overlaps with other one on this address space"):
                pool(ipam, other)
        assert ipam.request_pool(PoolRequest("GlobalDefault")).subnet == ipaddress.IPv4Network("10.0.0.0/24")


def test_pools_with_different_sub_pools_share_their_addresses_and_go_with_the_last_one() -> None:
    ipam = make()
    low, high = pool(ipam, "10.0.0.0/24", "10.0.0.0/28"), pool(ipam, "10.0.0.0/24", "10.0.0.128/25")
    assert low.pool_id == "LocalDefault/10.0.0.0/24/10.0.0.0/28"
    assert address(ipam, low) == "10.0.0.1/24"
    assert address(ipam, high) == "10.0.0.128/24"
    assert address(ipam, high, "10.0.0.2") == "10.0.0.2/24"
    assert address(ipam, low) == "10.0.0.3/24"
    with pytest.raises(Conflict, match="overlaps"):
        pool(ipam, "10.0.0.0/24", "10.0.0.0/28")
    ipam.release_pool(low.pool_id)
    with pytest.raises(Conflict, match="overlaps"):
        pool(ipam, "10.0.0.0/24")
    ipam.release_pool(high.pool_id)
    assert address(ipam, pool(ipam, "10.0.0.0/24")) == "10.0.0.1/24"


def test_a_released_pool_with_sub_pools_stays_until_the_last_of_them_is_released() -> None:
    ipam = make()
    whole = pool(ipam, "10.0.0.0/24")
    part = pool(ipam, "10.0.0.0/24", "10.0.0.0/28")
    ipam.release_pool(whole.pool_id)
    with pytest.raises(Conflict, match="overlaps"):
        pool(ipam, "10.0.0.0/24")
    ipam.release_pool(part.pool_id)
    pool(ipam, "10.0.0.0/24")


def test_a_sub_pool_wider_than_its_pool_is_cut_down_and_one_outside_is_refused() -> None:
    ipam = make()
    assert pool(ipam, "10.0.0.0/24", "10.0.0.0/16").pool_id == "LocalDefault/10.0.0.0/24/10.0.0.0/24"
    with pytest.raises(InvalidValue, match="doesn't contain ip-range"):
        pool(ipam, "10.1.0.0/24", "10.2.0.0/28")


def test_without_serial_the_lowest_free_address_is_next_and_a_freed_one_is_used_at_once() -> None:
    ipam = make()
    granted = pool(ipam, "10.0.0.0/24")
    assert [address(ipam, granted) for _ in range(3)] == ["10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24"]
    ipam.release_address(granted.pool_id, ipaddress.IPv4Address("10.0.0.2"))
    assert address(ipam, granted) == "10.0.0.2/24"


def test_serial_allocation_reuses_a_freed_address_only_after_wrapping_around() -> None:
    ipam = make()
    granted = pool(ipam, "10.0.0.0/29")
    assert [address(ipam, granted, serial=True) for _ in range(3)] == [f"10.0.0.{n}/29" for n in (1, 2, 3)]
    ipam.release_address(granted.pool_id, ipaddress.IPv4Address("10.0.0.2"))
    assert address(ipam, granted, "10.0.0.5", serial=True) == "10.0.0.5/29"
    assert [address(ipam, granted, serial=True) for _ in range(3)] == [f"10.0.0.{n}/29" for n in (4, 6, 2)]
    with pytest.raises(Conflict, match="no available addresses on this pool"):
        address(ipam, granted, serial=True)


@pytest.mark.parametrize(
    ("engine", "subnet", "usable"),
    [
        ("20.10", "10.0.0.0/30", 2), ("20.10", "10.0.0.0/31", 0), ("20.10", "10.0.0.0/32", 0),
        ("28", "10.0.0.0/30", 2), ("28", "10.0.0.0/31", 2), ("28", "10.0.0.0/32", 1), ("29", "10.0.0.0/31", 2),
    ],
)  # fmt: skip
def test_how_many_addresses_a_small_pool_has(engine: str, subnet: str, usable: int) -> None:
    ipam = make(engine)
    granted = pool(ipam, subnet)
    assert ipam.usage(granted.pool_id).available == usable
    for _ in range(usable):
        address(ipam, granted)
    with pytest.raises(Conflict, match="o available addresses on this pool"):
        address(ipam, granted)


def test_network_broadcast_and_taken_addresses_are_in_use_and_others_out_of_range() -> None:
    ipam = make()
    granted = pool(ipam, "10.0.0.0/24")
    address(ipam, granted, "10.0.0.9")
    for taken in ("10.0.0.0", "10.0.0.255", "10.0.0.9"):
        with pytest.raises(Conflict, match=r"^Address already in use$"):
            address(ipam, granted, taken)
    with pytest.raises(InvalidValue, match=r"^requested address is out of range$"):
        address(ipam, granted, "10.0.1.1")


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        (PoolRequest("Nowhere"), NotFound, "cannot find address space Nowhere"),
        (
            PoolRequest("LocalDefault", "nonsense"),
            InvalidValue,
            PARSE_FAILED + 'pool "nonsense" subpool "": invalid address pool',
        ),
        (
            PoolRequest("LocalDefault", "", "10.0.0.0/28"),
            InvalidValue,
            PARSE_FAILED + 'pool "" subpool "10.0.0.0/28": invalid address subpool',
        ),
    ],
)
def test_what_is_wrong_with_a_pool_request_is_said_in_docker_s_words(
    request_: PoolRequest, error: type[EmuError], text: str
) -> None:
    with pytest.raises(error) as caught:
        make().request_pool(request_)
    assert str(caught.value) == text


def test_unknown_pools_are_refused() -> None:
    ipam = make()
    for call in (lambda: ipam.release_pool("LocalDefault/10.0.0.0/8"),
                 lambda: ipam.request_address("x", None, {}), lambda: ipam.usage("x")):  # fmt: skip
        with pytest.raises(NotFound, match="address space does not contain specified address pool"):
            call()


def test_the_null_manager_has_one_pool_without_addresses() -> None:
    ipam = NullIpam()
    granted = ipam.request_pool(PoolRequest("null"))
    assert (granted.pool_id, granted.subnet) == ("null/0.0.0.0/0", None)
    assert ipam.request_address(granted.pool_id, None, {}) is None  # type: ignore[func-returns-value]
    with pytest.raises(InvalidValue, match="null ipam driver does not handle specific address pool requests"):
        ipam.request_pool(PoolRequest("null", "10.0.0.0/8"))
    with pytest.raises(InvalidValue, match="unknown pool id: x"):
        ipam.release_pool("x")


def test_a_base_cannot_be_cut_into_pieces_bigger_than_itself() -> None:
    with pytest.raises(InvalidValue, match="must be between 16 and 32"):
        PoolBase(ipaddress.IPv4Network("10.0.0.0/16"), 8)


def test_a_pool_of_16_million_addresses_takes_no_memory_per_address() -> None:
    tracemalloc.start()
    try:
        ipam = make()
        granted = pool(ipam, "10.0.0.0/8")
        for _ in range(1000):
            address(ipam, granted)
        address(ipam, granted, "10.255.0.9")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_hundred_thousand_allocations_and_releases_take_under_two_seconds_with_slack() -> None:
    ipam = make()
    granted = pool(ipam, "10.0.0.0/8")
    started = time.process_time()
    taken = [ipam.request_address(granted.pool_id, None, {}) for _ in range(100_000)]
    for entry in taken:
        ipam.release_address(granted.pool_id, entry.ip)
    assert time.process_time() - started < 3 * 2
    assert ipam.usage(granted.pool_id).in_use == 2
