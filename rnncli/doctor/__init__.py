"""`rnncli doctor`: what is installed here, what the machine offers, and whether it works.

Every part may be broken: this package imports nothing heavy, and torch only in a process of its own (selftest.py),
whose end, whatever it is, is a finding. Where not even the command line starts: `python -m rnncli.doctor`.
"""

from rnncli.doctor.page import examine as examine
