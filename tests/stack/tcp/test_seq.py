"""Sequence numbers wrap at 2**32 and compare by the shorter way round."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emu.stack.tcp.seq import seq_diff, seq_leq, seq_lt

NUMBERS = st.integers(0, 2**32 - 1)


@given(NUMBERS, st.integers(-(2**31) + 1, 2**31 - 1))
def test_a_difference_is_found_again_after_adding_it(start: int, step: int) -> None:
    other = (start + step) % 2**32
    assert seq_diff(other, start) == step
    assert seq_lt(start, other) is (step > 0)
    assert seq_leq(start, other) is (step >= 0)


def test_zero_comes_after_the_largest_number() -> None:
    assert seq_lt(0xFFFFFFFF, 0)
    assert seq_diff(0, 0xFFFFFFFF) == 1
    assert not seq_lt(0, 0xFFFFFFFF)
