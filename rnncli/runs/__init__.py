"""A run on the disk: opened, written, resumed, evaluated, exported, listed, compared.

recipe.yaml         the recipe, every value resolved     metrics.jsonl  one line an epoch: step, losses, metrics
model.safetensors   the weights of the best epoch        timing.jsonl   beside it: seconds, speed
vocab.json          what the training data taught        result.json    the closing figures
environment.json    versions, device, hash of the data   resume/        everything needed to resume
manifest.json       size and sha256 of these, checked    answers.jsonl  one line an epoch: the preview before it
                    whenever one is opened

folder.py, manifest.py, read.py and listing.py need no torch.
"""
