"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Tests count steps, not seconds: on a busy machine a deadline fails what is right.
settings.register_profile("tartlet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tartlet")
