"""What Countersign costs in calls, CPU and memory, measured against the goals; `python -m benchmarks` or `make bench`."""
