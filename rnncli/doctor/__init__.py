"""`rnncli doctor`: what is installed, what the machine offers, and whether it works.

Anything may be broken, so this package imports nothing heavy, and torch only in a separate process (selftest.py), whose
crash is a finding. If even the command line does not start: `python -m rnncli.doctor`.
"""

from rnncli.doctor.page import examine as examine
