"""Ids and MAC addresses: Docker's notations in, one form out, random ones from the seed."""

import pytest

from emu.cnm.ids import IdSource, format_mac, parse_mac
from emu.kernel import InvalidValue, Kernel


@pytest.mark.parametrize("text", ["02:42:ac:11:00:02", "02-42-AC-11-00-02", "0242.ac11.0002"])
def test_the_notations_of_docker_mean_the_same_address(text):
    assert parse_mac(text) == bytes.fromhex("0242ac110002")
    assert format_mac(parse_mac(text)) == "02:42:ac:11:00:02"


@pytest.mark.parametrize("text", ["zz", "", "0242ac110002", "02:42:ac:11:00", "02:42-ac:11:00:02", "2:42:ac:11:0:2"])
def test_anything_else_is_refused_in_docker_s_words(text):
    with pytest.raises(InvalidValue, match=f"^{text} is not a valid mac address$"):
        parse_mac(text)


def test_random_macs_are_unicast_and_locally_administered_and_come_from_the_seed():
    macs = [IdSource(Kernel(seed=4), "host1").random_mac() for _ in range(2)]
    assert macs[0] == macs[1]
    ids = IdSource(Kernel(seed=4), "host1")
    assert all(ids.random_mac()[0] & 3 == 2 for _ in range(200))
