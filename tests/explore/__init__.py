"""Our own code under many schedules, on the dummy backend."""
