"""`labkit bench`: ours beside its peers and the limit, in one run. A group of benchmarks is one file."""
