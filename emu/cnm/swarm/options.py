"""The options of `docker swarm init` that concern networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from emu.cnm.ipam.pools import PoolBase
from emu.kernel.errors import InvalidValue

DEFAULT_POOL = "10.0.0.0/8"
DEFAULT_MASK_LENGTH = 24
DEFAULT_DATA_PATH_PORT = 4789
LOWEST_DATA_PATH_PORT, HIGHEST_DATA_PATH_PORT = 1024, 49151


@dataclass(frozen=True, slots=True)
class SwarmOptions:
    """How a swarm makes its networks.

    pools: what subnets are cut from. data_path_port: UDP port of VXLAN.
    """

    pools: tuple[PoolBase, ...]
    data_path_port: int


def read_options(
    default_addr_pool: str | Sequence[str] | None = None,
    default_addr_pool_mask_length: int | None = None,
    data_path_port: int | None = None,
) -> SwarmOptions:
    """Read the options of `docker swarm init`.

    default_addr_pool: "10.0.0.0/8", or several such. default_addr_pool_mask_length: of the subnets, 24.
    data_path_port: UDP port of VXLAN, 1024 to 49151; None or 0 is 4789.
    Raises InvalidValue for values out of range and pools that overlap.
    """
    texts = [default_addr_pool] if isinstance(default_addr_pool, str) else list(default_addr_pool or [DEFAULT_POOL])
    length = DEFAULT_MASK_LENGTH if default_addr_pool_mask_length is None else default_addr_pool_mask_length
    if type(length) is not int or not 1 <= length <= 29:
        raise InvalidValue(f"invalid default address pool mask length {length!r}: expected 1 to 29")
    bases = [_pool(text) for text in texts]
    for index, base in enumerate(bases):
        if any(base.overlaps(other) for other in bases[:index]):
            raise InvalidValue(f"default address pool {base} overlaps another one")
        if base.prefixlen > length:
            raise InvalidValue(f"default address pool {base} is smaller than one subnet of /{length}")
    port = data_path_port or DEFAULT_DATA_PATH_PORT
    if type(port) is not int or not LOWEST_DATA_PATH_PORT <= port <= HIGHEST_DATA_PATH_PORT:
        raise InvalidValue(
            f"invalid data path port {port!r}: expected {LOWEST_DATA_PATH_PORT} to {HIGHEST_DATA_PATH_PORT}"
        )
    return SwarmOptions(tuple(PoolBase(base, length) for base in bases), port)


def _pool(text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise InvalidValue(f"invalid default address pool {text}: {error}; expected one such as 10.0.0.0/8") from None
