"""VXLAN network identifiers: one for every subnet of every overlay network.

Source: libnetwork cnmallocator, FACT 59.
"""

from __future__ import annotations

from collections.abc import Sequence

from emu.cnm.ipam.bitmap import Bitmap
from emu.kernel.errors import Conflict, InvalidValue

FIRST_VNI = 4096
"""That of the ingress network; the next ones follow in creation order."""
VNI_COUNT = 1 << 24


class VniAllocator:
    """Hands out VNIs: the next one after the last, from 4096 to 16777215, then again from 4096."""

    __slots__ = ("_cursor", "_taken")

    def __init__(self) -> None:
        self._taken = Bitmap(VNI_COUNT)
        self._cursor = FIRST_VNI

    def take_next(self, subnet: object) -> int:
        """Take and return the next free VNI. Raises Conflict when all are taken.

        subnet: what it is for, named in the error.
        """
        vni = self._taken.first_clear(self._cursor)
        if vni is None:
            vni = self._taken.first_clear(FIRST_VNI)
        if vni is None:
            raise Conflict(f"could not obtain vxlan id for pool {subnet}: no bit available")
        self._taken.set(vni)
        self._cursor = vni + 1
        return vni

    def take(self, vni: int, subnet: object) -> int:
        """Take a VNI a user chose. Raises Conflict with the engine's text when it is taken."""
        if not self._taken.set(vni):
            raise Conflict(f"could not assign vxlan id {vni} to pool {subnet}: requested bit is already allocated")
        return vni

    def give_back(self, vni: int) -> None:
        """Free a VNI; it is not used again before all others have been."""
        self._taken.clear(vni)


def parse_vni_list(text: str, key: str) -> Sequence[int]:
    """Read `4100,4101`, the value of the option vxlanid_list.

    Raises InvalidValue for anything but numbers from 0 to 16777215.
    """
    vnis = []
    for part in text.split(","):
        if not part.isascii() or not part.isdigit() or int(part) >= VNI_COUNT:
            raise InvalidValue(
                f"invalid vxlan id value {part} passed in option {key}: expected numbers from 0 to "
                f"{VNI_COUNT - 1}, separated by commas"
            )
        vnis.append(int(part))
    return vnis
