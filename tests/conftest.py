"""Settings shared by all tests: deterministic hypothesis."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "emu", derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("emu")
