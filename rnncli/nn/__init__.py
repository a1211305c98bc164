"""Models: front ends, recurrent cores with their engines, heads."""
