"""Baselines: what a reader would try before a recurrent network, one file each.

Each fits on the training part and answers for another; a task says which apply, scores their answers by its own metrics
and names them. None of them knows a task.
"""
