"""The sparse bitmap: as a plain set, but small and fast."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from emu.cnm.ipam.bitmap import Bitmap

ORDINALS = st.integers(0, 5000)


@given(st.lists(st.tuples(st.sampled_from(["set", "clear"]), ORDINALS), max_size=60), ORDINALS)
def test_it_behaves_like_a_set_of_numbers(steps: list[tuple[str, int]], start: int) -> None:
    bitmap, model = Bitmap(5001), set[int]()
    for step, ordinal in steps:
        if step == "set":
            assert bitmap.set(ordinal) == (ordinal not in model)
            model.add(ordinal)
        else:
            assert bitmap.clear(ordinal) == (ordinal in model)
            model.discard(ordinal)
    assert bitmap.count == len(model)
    assert bitmap.first_clear(start) == next((n for n in range(start, 5001) if n not in model), None)
    assert bitmap.count_between(start // 2, start) == sum(start // 2 <= n <= start for n in model)


def test_full_words_are_skipped_and_found_again_when_a_bit_is_cleared() -> None:
    bitmap = Bitmap(1 << 21)
    for ordinal in range(5000):
        assert bitmap.first_clear() == ordinal
        bitmap.set(ordinal)
    bitmap.clear(1023)
    assert bitmap.first_clear() == 1023
    assert bitmap.first_clear(1024) == 5000


def test_a_full_bitmap_has_no_clear_bit_even_when_its_size_is_not_a_multiple_of_a_word() -> None:
    for size in (1, 2, 1023, 1024, 1025, 3000):
        bitmap = Bitmap(size)
        for ordinal in range(size):
            bitmap.set(ordinal)
        assert bitmap.first_clear() is None
        assert bitmap.count == size


def test_a_huge_bitmap_costs_nothing_until_it_is_used() -> None:
    bitmap = Bitmap(1 << 64)
    assert bitmap.set((1 << 64) - 1)
    assert bitmap.first_clear((1 << 64) - 1) is None
    assert bitmap.first_clear() == 0
    assert sum(sys.getsizeof(level) for level in bitmap._levels) < 4096
