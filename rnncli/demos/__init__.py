"""demo: one recurrent network on a few numbers, with every number shown and every claim checked on them.

`settings` and `script` do not import torch, so that wrong options and `--code` return at once. `network` draws the
weights and inputs; `page` assembles the result from `screen` (tables), `explain` (sums) and `proofs` (checks).
"""
