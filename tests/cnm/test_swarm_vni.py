"""VNIs and the swarm's options."""

from __future__ import annotations

import pytest

from emu.cnm.swarm.options import read_options
from emu.cnm.swarm.vni import VniAllocator, parse_vni_list
from emu.kernel.errors import Conflict, InvalidValue


def test_vnis_begin_at_4096_and_follow_each_other() -> None:
    vnis = VniAllocator()
    assert [vnis.take_next("x") for _ in range(4)] == [4096, 4097, 4098, 4099]


def test_a_vni_that_was_given_back_is_not_used_again_soon() -> None:
    vnis = VniAllocator()
    vnis.take_next("x")
    vnis.give_back(vnis.take_next("x"))
    assert vnis.take_next("x") == 4098


def test_a_chosen_vni_is_skipped_later_and_refused_twice() -> None:
    vnis = VniAllocator()
    assert vnis.take(4097, "10.0.1.0/24") == 4097
    assert [vnis.take_next("x"), vnis.take_next("x")] == [4096, 4098]
    with pytest.raises(Conflict) as caught:
        vnis.take(4097, "10.0.2.0/24")
    assert str(caught.value) == (
        "could not assign vxlan id 4097 to pool 10.0.2.0/24: requested bit is already allocated"
    )


@pytest.mark.parametrize("text", ["", "x", "4100,", "16777216", "-1", "4100;4101"])
def test_a_list_of_vnis_is_numbers_of_24_bits(text: str) -> None:
    with pytest.raises(InvalidValue, match="vxlan id"):
        parse_vni_list(text, "key")


def test_a_list_may_have_several_vnis() -> None:
    assert parse_vni_list("4100,0,16777215", "key") == [4100, 0, 16777215]


def test_options_default_to_what_docker_has() -> None:
    options = read_options()
    assert (str(options.pools[0].base), options.pools[0].size, options.data_path_port) == ("10.0.0.0/8", 24, 4789)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"data_path_port": 1023}, "invalid data path port 1023: expected 1024 to 49151"),
        ({"data_path_port": 49152}, "invalid data path port 49152: expected 1024 to 49151"),
        ({"default_addr_pool_mask_length": 30}, "invalid default address pool mask length 30: expected 1 to 29"),
        ({"default_addr_pool": "10.0.0.1/8"}, "10.0.0.1/8 has host bits set"),
        ({"default_addr_pool": ["10.0.0.0/8", "10.1.0.0/16"]}, "10.1.0.0/16 overlaps another one"),
        ({"default_addr_pool": "10.0.0.0/25"}, "10.0.0.0/25 is smaller than one subnet of /24"),
    ],
)
def test_options_out_of_range_are_refused(given: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidValue, match=text):
        read_options(**given)  # type: ignore[arg-type]
