"""Many runs of one recipe: a grid of settings, or a search through a space of them, each over several seeds.

A trial is one combination of settings. Each of its seeds is a run folder, trained by a worker process (worker.py) like
`rnncli train`. Its score is the mean over seeds. plan.py defines the runs, folder.py stores them, jobs.py dispatches
them to workers, grid.py and search.py choose the next run, statistics.py and pages.py report results.

No torch here except in worker.py and matching.py: the controlling process stays small.
"""
