"""supervise and its peers, side by side in one run. `bench/run` starts it; README.md explains it."""
