"""Checks of the sources that no compiler makes; tests/run calls them, test_checks.py tests them."""
