"""What the benchmark commands share: servers, loads, rounds, plots. Python's standard library only."""
