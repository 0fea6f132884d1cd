"""What the backend derives beside primitives: pools, timers, shared state, channels, managers; loaded on first use."""
