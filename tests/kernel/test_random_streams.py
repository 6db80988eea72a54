"""Random numbers depend on the seed and the stream's name, on nothing else."""

import subprocess
import sys

from emu.kernel import Kernel


def draw(seed, name, count=3):
    return [Kernel(seed).random(name).random() for _ in range(1)] + [
        Kernel(seed).random(name).getrandbits(48) for _ in range(count)
    ]


def test_the_same_seed_and_name_give_the_same_numbers():
    assert draw(1, "mac web1") == draw(1, "mac web1")


def test_other_seeds_and_other_names_give_other_numbers():
    assert draw(1, "mac web1") != draw(2, "mac web1")
    assert draw(1, "mac web1") != draw(1, "mac web2")


def test_drawing_from_one_stream_does_not_change_another():
    kernel = Kernel(7)
    kernel.random("loss").random()
    assert kernel.random("delay").random() == Kernel(7).random("delay").random()


def test_streams_do_not_depend_on_hash_randomisation():
    code = "from emu.kernel import Kernel; print(Kernel(3).random('x').getrandbits(64))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "12345")
    }
    assert len(outputs) == 1
