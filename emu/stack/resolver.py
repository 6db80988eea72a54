"""Which name servers a namespace asks: what /etc/resolv.conf says inside a container."""

from __future__ import annotations

from collections.abc import Sequence


class ResolverSettings:
    """The name servers and the search domain of one namespace.

    nameservers: addresses as text, in the order in which they are asked. domain: appended to short names, or "".
    Limits: nothing asks them: names are answered from the controller's records, without packets.
    """

    __slots__ = ("domain", "nameservers")

    def __init__(self) -> None:
        self.nameservers: tuple[str, ...] = ()
        self.domain = ""

    def set(self, nameservers: Sequence[str], domain: str = "") -> None:
        """Take these settings instead of those before."""
        self.nameservers = tuple(nameservers)
        self.domain = domain

    def text(self) -> str:
        """Return what /etc/resolv.conf would say."""
        lines = [f"search {self.domain}"] if self.domain else []
        lines += [f"nameserver {address}" for address in self.nameservers]
        return "".join(f"{line}\n" for line in lines)
