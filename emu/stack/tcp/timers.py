"""When a timer of the machine really goes off: Linux keeps them in its timer wheel, which rounds up (FACT 43)."""

from __future__ import annotations

from emu.kernel.jiffies import JIFFY_NS, wheel_expiry_ns

NEVER = 1 << 62


def expiry_ns(now_ns: int, delay_ns: int, granularity_ns: int) -> int:
    """Return when a timer set now for `delay_ns` goes off.

    granularity_ns: a jiffy for Linux's timer wheel (a SYN is repeated after 1.02 s rather than 1 s); anything else
    makes the timer exact.
    """
    return wheel_expiry_ns(now_ns, delay_ns) if granularity_ns == JIFFY_NS else now_ns + delay_ns
