"""What a DHCP client does in which state about which event: one table (RFC 2131 figure 5)."""

from __future__ import annotations

INIT = "INIT"
INIT_REBOOT = "INIT-REBOOT"
SELECTING = "SELECTING"
REBOOTING = "REBOOTING"
REQUESTING = "REQUESTING"
CHECKING = "CHECKING"
BOUND = "BOUND"
RENEWING = "RENEWING"
REBINDING = "REBINDING"
STOPPED = "STOPPED"

TRANSITIONS: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    (INIT, "timeout"): (SELECTING, ("begin_exchange", "send_discover")),
    (INIT_REBOOT, "timeout"): (REBOOTING, ("begin_exchange", "send_reboot_request")),
    (SELECTING, "timeout"): (SELECTING, ("send_discover",)),
    (SELECTING, "gave up"): (INIT, ("fail", "pause")),
    (SELECTING, "offer"): (REQUESTING, ("take_offer", "send_request")),
    (REQUESTING, "timeout"): (REQUESTING, ("send_request",)),
    (REQUESTING, "gave up"): (INIT, ("fail", "pause")),
    (REQUESTING, "ack"): (CHECKING, ("take_lease", "probe")),
    (REQUESTING, "nak"): (INIT, ("forget_lease", "forget_address", "pause_after_nak")),
    (REBOOTING, "timeout"): (REBOOTING, ("send_reboot_request",)),
    (REBOOTING, "gave up"): (INIT, ("fail", "start_over")),
    (REBOOTING, "ack"): (CHECKING, ("take_lease", "probe")),
    (REBOOTING, "nak"): (INIT, ("forget_lease", "forget_address", "pause_after_nak")),
    (CHECKING, "timeout"): (BOUND, ("bind", "sleep_until_t1")),
    (CHECKING, "gave up"): (INIT, ("fail", "forget_lease", "pause")),
    (CHECKING, "conflict"): (INIT, ("decline", "forget_lease", "forget_address", "pause_after_decline")),
    (BOUND, "timeout"): (RENEWING, ("begin_exchange", "send_renewal")),
    (RENEWING, "timeout"): (RENEWING, ("send_renewal",)),
    (RENEWING, "put off"): (BOUND, ("sleep_half_of_the_rest",)),
    (RENEWING, "gave up"): (REBINDING, ("restart_attempts", "send_rebinding")),
    (RENEWING, "ack"): (BOUND, ("take_lease", "extend", "sleep_until_t1")),
    (RENEWING, "nak"): (INIT, ("unbind", "forget_lease", "forget_address", "pause_after_nak")),
    (REBINDING, "timeout"): (REBINDING, ("send_rebinding",)),
    (REBINDING, "gave up"): (INIT, ("unbind", "forget_lease", "start_over")),
    (REBINDING, "ack"): (BOUND, ("take_lease", "extend", "sleep_until_t1")),
    (REBINDING, "nak"): (INIT, ("unbind", "forget_lease", "forget_address", "pause_after_nak")),
    (INIT, "stop"): (STOPPED, ("rest",)),
    (INIT_REBOOT, "stop"): (STOPPED, ("rest",)),
    (SELECTING, "stop"): (STOPPED, ("rest",)),
    (REQUESTING, "stop"): (STOPPED, ("rest",)),
    (REBOOTING, "stop"): (STOPPED, ("rest",)),
    (CHECKING, "stop"): (STOPPED, ("rest",)),
    (BOUND, "stop"): (STOPPED, ("release", "unbind", "forget_lease", "rest")),
    (RENEWING, "stop"): (STOPPED, ("release", "unbind", "forget_lease", "rest")),
    (REBINDING, "stop"): (STOPPED, ("release", "unbind", "forget_lease", "rest")),
}
"""(state, event) -> (next state, actions). What is not here is ignored."""
