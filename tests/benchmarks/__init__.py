"""Benchmarks, run by `make bench`: ratios within one run, beside the limit and the plain design."""
