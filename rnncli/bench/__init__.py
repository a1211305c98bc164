"""Benchmarks: engines and sizes, a recipe's training time, other libraries. Nothing here prints."""
