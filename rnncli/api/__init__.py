"""What the command line does, as functions of Python values: they return what a command shows, and print nothing.

`rnncli` has them all, imported when they are first used. An option that a call refuses is named as the command line has
it. What is wrong is raised as a class of `rnncli.errors`.
"""
