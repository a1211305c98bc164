"""The commands as Python functions: they take and return Python values, and print nothing.

`rnncli` exports them all, imported on first use. Error messages name options as on the command line. Errors are classes
of `rnncli.errors`.
"""
