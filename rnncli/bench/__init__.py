"""Measurements that hold: engines and sizes, a recipe's own time, other libraries. Nothing here prints."""
