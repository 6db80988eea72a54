"""What can be set about TCP, under the meaning that Linux's `net.ipv4.tcp_*` sysctls give it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

SECOND = 1_000_000_000
MS = 1_000_000

SYSCTLS: dict[str, int] = {
    "net.ipv4.tcp_abort_on_overflow": 0,
    "net.ipv4.tcp_dsack": 1,
    "net.ipv4.tcp_early_retrans": 3,
    "net.ipv4.tcp_ecn": 2,
    "net.ipv4.tcp_fin_timeout": 60,
    "net.ipv4.tcp_frto": 2,
    "net.ipv4.tcp_invalid_ratelimit": 500,
    "net.ipv4.tcp_keepalive_intvl": 75,
    "net.ipv4.tcp_keepalive_probes": 9,
    "net.ipv4.tcp_keepalive_time": 7200,
    "net.ipv4.tcp_moderate_rcvbuf": 1,
    "net.ipv4.tcp_orphan_retries": 0,
    "net.ipv4.tcp_recovery": 1,
    "net.ipv4.tcp_reordering": 3,
    "net.ipv4.tcp_retries2": 15,
    "net.ipv4.tcp_rmem_default": 131072,
    "net.ipv4.tcp_rmem_max": 6 * 1024 * 1024,
    "net.ipv4.tcp_sack": 1,
    "net.ipv4.tcp_slow_start_after_idle": 1,
    "net.ipv4.tcp_syn_linear_timeouts": 4,
    "net.ipv4.tcp_syn_retries": 6,
    "net.ipv4.tcp_synack_retries": 5,
    "net.ipv4.tcp_timestamps": 1,
    "net.ipv4.tcp_window_scaling": 1,
    "net.ipv4.tcp_wmem_max": 4 * 1024 * 1024,
}
"""The settings with a distribution's defaults (FACT 40). Linux's triples `tcp_rmem` and `tcp_wmem` are split into
integers; what has no entry here has no effect. Before Linux 6.5 `tcp_syn_linear_timeouts` was what 0 is now: SYNs are
repeated after 1, 3, 7, 15, 31 s (FACT 43)."""

LIMITS: dict[str, tuple[int, int]] = {
    "net.ipv4.tcp_abort_on_overflow": (0, 1),
    "net.ipv4.tcp_dsack": (0, 1),
    "net.ipv4.tcp_early_retrans": (0, 4),
    "net.ipv4.tcp_ecn": (0, 2),
    "net.ipv4.tcp_frto": (0, 2),
    "net.ipv4.tcp_keepalive_intvl": (1, 32767),
    "net.ipv4.tcp_keepalive_probes": (1, 127),
    "net.ipv4.tcp_keepalive_time": (1, 32767),
    "net.ipv4.tcp_moderate_rcvbuf": (0, 1),
    "net.ipv4.tcp_orphan_retries": (0, 255),
    "net.ipv4.tcp_recovery": (0, 1),
    "net.ipv4.tcp_reordering": (1, 300),
    "net.ipv4.tcp_retries2": (0, 255),
    "net.ipv4.tcp_rmem_default": (2304, 1 << 30),
    "net.ipv4.tcp_rmem_max": (2304, 1 << 30),
    "net.ipv4.tcp_sack": (0, 1),
    "net.ipv4.tcp_slow_start_after_idle": (0, 1),
    "net.ipv4.tcp_syn_linear_timeouts": (0, 127),
    "net.ipv4.tcp_syn_retries": (1, 127),
    "net.ipv4.tcp_synack_retries": (0, 255),
    "net.ipv4.tcp_timestamps": (0, 1),
    "net.ipv4.tcp_window_scaling": (0, 1),
    "net.ipv4.tcp_wmem_max": (4608, 1 << 30),
}
"""The least and the most that a setting may be: what Linux allows, less the values whose meaning is not built here
(AccECN, timestamps without an offset, RACK's flags), and no buffer smaller than a socket's smallest."""


class Readable(Protocol):
    """What settings are read from: a mapping of sysctl names to integers."""

    def __getitem__(self, name: str, /) -> int: ...


@dataclass(frozen=True, slots=True)
class TcpSettings:
    """The tunables of one connection; times in ns, sizes in bytes.

    The defaults are Linux's. syn_linear_timeouts: so many repetitions of a SYN come a second apart before the
    interval doubles (4 since Linux 6.5, 0 before). receive_buffer counts memory, half of which is window.
    ecn: 0 never, 1 asks for it, 2 only answers. clock_granularity_ns: a jiffy (HZ=250).
    """

    window_scaling: bool = True
    sack: bool = True
    timestamps: bool = True
    dsack: bool = True
    ecn: int = 2
    syn_retries: int = 6
    syn_linear_timeouts: int = 4
    synack_retries: int = 5
    retries2: int = 15
    orphan_retries: int = 0
    fin_timeout_ns: int = 60 * SECOND
    time_wait_ns: int = 60 * SECOND
    keepalive_idle_ns: int = 7200 * SECOND
    keepalive_interval_ns: int = 75 * SECOND
    keepalive_count: int = 9
    receive_buffer: int = 131072
    receive_buffer_max: int = 6 * 1024 * 1024
    receive_autotuning: bool = True
    send_buffer_max: int = 4 * 1024 * 1024
    invalid_ratelimit_ns: int = 500 * MS
    rto_min_ns: int = 200 * MS
    rto_max_ns: int = 120 * SECOND
    rto_initial_ns: int = SECOND
    initial_window: int = 10
    reordering: int = 3
    tail_loss_probe: bool = True
    rack: bool = True
    frto: bool = True
    prr: bool = True
    slow_start_after_idle: bool = True
    clock_granularity_ns: int = 4 * MS
    delayed_ack_min_ns: int = 40 * MS
    delayed_ack_max_ns: int = 200 * MS

    @classmethod
    def from_sysctls(cls, sysctl: Readable) -> TcpSettings:
        """Read the settings that new connections of a namespace start with."""

        def value(name: str) -> int:
            return sysctl[f"net.ipv4.tcp_{name}"]

        return cls(
            window_scaling=bool(value("window_scaling")),
            sack=bool(value("sack")),
            timestamps=bool(value("timestamps")),
            dsack=bool(value("dsack")),
            ecn=value("ecn"),
            syn_retries=value("syn_retries"),
            syn_linear_timeouts=value("syn_linear_timeouts"),
            synack_retries=value("synack_retries"),
            retries2=value("retries2"),
            orphan_retries=value("orphan_retries"),
            fin_timeout_ns=value("fin_timeout") * SECOND,
            keepalive_idle_ns=value("keepalive_time") * SECOND,
            keepalive_interval_ns=value("keepalive_intvl") * SECOND,
            keepalive_count=value("keepalive_probes"),
            receive_buffer=value("rmem_default"),
            receive_buffer_max=value("rmem_max"),
            receive_autotuning=bool(value("moderate_rcvbuf")),
            send_buffer_max=value("wmem_max"),
            invalid_ratelimit_ns=value("invalid_ratelimit") * MS,
            reordering=value("reordering"),
            tail_loss_probe=value("early_retrans") >= 3,
            rack=bool(value("recovery") & 1),
            frto=bool(value("frto")),
            slow_start_after_idle=bool(value("slow_start_after_idle")),
        )

    @property
    def syn_retries_in_all(self) -> int:
        """How often a SYN is repeated: the repetitions a second apart count extra (Linux 6.5 and later)."""
        return self.syn_retries + self.syn_linear_timeouts
