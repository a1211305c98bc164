"""Baselines: what one would try before a recurrent network, one file each.

Each is fitted on the training split and predicts for another; a task chooses which apply, computes its own metrics on
their predictions and names them. Baselines do not depend on tasks.
"""
