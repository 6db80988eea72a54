"""A sparse bitmap that finds the lowest clear bit fast.

Memory grows with the number of set bits, not with the size: a /8 pool starts empty, and so does a /64.
"""

from __future__ import annotations

_SHIFT = 10
_WORD_BITS = 1 << _SHIFT
_MASK = _WORD_BITS - 1
_FULL = (1 << _WORD_BITS) - 1


def _lowest_clear(word: int) -> int:
    return (~word & (word + 1)).bit_length() - 1


class Bitmap:
    """Bits 0 .. size-1, all clear at first, kept as a tree of 1024-bit words.

    A bit of level n+1 is set when the whole word below it is full, so the search for a clear bit skips
    full regions without looking at them.

    size: number of bits, 1 or more.
    """

    __slots__ = ("_levels", "count", "size")

    def __init__(self, size: int) -> None:
        assert size >= 1, size
        self.size = size
        #: number of set bits
        self.count = 0
        self._levels: list[dict[int, int]] = [{}]
        span = _WORD_BITS
        while span < size:
            self._levels.append({})
            span <<= _SHIFT

    def is_set(self, ordinal: int) -> bool:
        """Say whether a bit is set."""
        return bool(self._levels[0].get(ordinal >> _SHIFT, 0) >> (ordinal & _MASK) & 1)

    def set(self, ordinal: int) -> bool:
        """Set a bit; return False if it was set already."""
        assert 0 <= ordinal < self.size, (ordinal, self.size)
        position = ordinal
        for level in self._levels:
            index = position >> _SHIFT
            word = level.get(index, 0)
            bit = 1 << (position & _MASK)
            if word & bit:
                return False
            word |= bit
            level[index] = word
            if word != _FULL:
                break
            position = index
        self.count += 1
        return True

    def clear(self, ordinal: int) -> bool:
        """Clear a bit; return False if it was clear already."""
        if not 0 <= ordinal < self.size or not self.is_set(ordinal):
            return False
        position = ordinal
        for level in self._levels:
            index = position >> _SHIFT
            word = level[index]
            was_full = word == _FULL
            word &= ~(1 << (position & _MASK))
            if word:
                level[index] = word
            else:
                del level[index]
            if not was_full:
                break
            position = index
        self.count -= 1
        return True

    def first_clear(self, start: int = 0) -> int | None:
        """Return the lowest clear bit that is not below `start`, or None."""
        position = start
        for height, level in enumerate(self._levels):
            index = position >> _SHIFT
            word = level.get(index, 0) | ((1 << (position & _MASK)) - 1)
            if word != _FULL:
                position = (index << _SHIFT) | _lowest_clear(word)
                for below in range(height - 1, -1, -1):
                    position = (position << _SHIFT) | _lowest_clear(self._levels[below].get(position, 0))
                return position if position < self.size else None
            position = index + 1
        return None

    def count_between(self, first: int, last: int) -> int:
        """Count the set bits from `first` to `last`, both included."""
        total = 0
        for index, word in self._levels[0].items():
            base = index << _SHIFT
            if base > last or base + _MASK < first:
                continue
            if first > base:
                word >>= first - base
                base = first
            if last < base + _MASK:
                word &= (1 << (last - base + 1)) - 1
            total += word.bit_count()
        return total
