"""What the integration tests stand on: the real binary under observation, and what it may leave behind."""
