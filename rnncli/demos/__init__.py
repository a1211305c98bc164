"""demo: one recurrent core on a few numbers, every number shown, every statement checked on those numbers.

`settings` and `script` know no torch: a wrong option and `--code` answer at once. `network` draws what is shown,
`page` puts the result together from `screen` (the tables), `explain` (the sums) and `proofs` (the checks).
"""
