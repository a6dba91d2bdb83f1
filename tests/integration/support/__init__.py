"""The real binary under observation, and what it may leave behind."""
