"""The benchmark: `python -m tests.bench` prints figures as ratios measured in one run; it is never a timed test."""
