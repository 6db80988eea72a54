"""The swarm's keys: drawn from the seed, three at a time, the second oldest is for sending."""

from emu.cnm.swarm.keys import KeyRing
from emu.kernel import Kernel


def test_there_are_three_keys_and_the_second_oldest_comes_first():
    ring = KeyRing(Kernel(seed=1))
    assert [key.tag for key in ring.keys] == [5, 4, 6]
    assert {len(key.value) for key in ring.keys} == {16}
    assert len({key.value for key in ring.keys}) == 3


def test_a_rotation_adds_a_key_forgets_the_oldest_and_sends_with_the_next():
    ring = KeyRing(Kernel(seed=1))
    before = {key.tag: key for key in ring.keys}
    ring.rotate()
    assert [key.tag for key in ring.keys] == [6, 5, 8]
    assert ring.keys[0] == before[6], "every node has known it before it is used"
    ring.rotate()
    assert [key.tag for key in ring.keys] == [8, 6, 10]


def test_the_seed_decides_the_keys():
    assert KeyRing(Kernel(seed=1)).keys == KeyRing(Kernel(seed=1)).keys
    assert KeyRing(Kernel(seed=1)).keys != KeyRing(Kernel(seed=2)).keys
