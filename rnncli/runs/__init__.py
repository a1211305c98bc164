"""A run on disk: opening, writing, resuming, evaluating, exporting, listing, comparing.

recipe.yaml         the recipe, every value resolved     metrics.jsonl  one line per epoch: step, losses, metrics
model.safetensors   the weights of the best epoch        timing.jsonl   seconds, speed
vocab.json          fitted preprocessing                 result.json    the final metrics
environment.json    versions, device, hash of the data   resume/        everything needed to resume
manifest.json       size and sha256 of these, checked    answers.jsonl  one line per epoch: the preview
                    on opening

folder.py, manifest.py, read.py and listing.py need no torch.
"""
