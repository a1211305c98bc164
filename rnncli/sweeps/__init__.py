"""Many runs of one recipe: a grid of settings, or a search through a space of them, each over several seeds.

A trial is its settings; its seeds are run folders, each trained by a worker process (worker.py) as `rnncli train`
would; its score is their mean. plan.py says what there is to run, folder.py keeps it, jobs.py hands it to the workers,
grid.py and search.py decide what is next, statistics.py and pages.py what came out.

No torch here but in worker.py and matching.py: the process that conducts a sweep stays small.
"""
