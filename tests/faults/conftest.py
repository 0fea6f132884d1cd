"""The fixtures that make things go wrong."""

from manyhands.contract.injection import fail_call, fake_dist, itimer_storm, sigint_sweep

__all__ = ["fail_call", "fake_dist", "itimer_storm", "sigint_sweep"]
