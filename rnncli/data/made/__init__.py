"""Data that is generated: the same on every machine and in every version."""
