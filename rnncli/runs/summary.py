"""Summaries before and after training: the model in one line, the final table, one example step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from rnncli import records
from rnncli.cells import spec_of
from rnncli.locale import tr, trn
from rnncli.names import CONTROL
from rnncli.recipe import RecipeConfig
from rnncli.records import Entry, Json, json_number, json_object
from rnncli.runs.read import numbers
from rnncli.tasks import AnySplits, Metrics
from rnncli.training.job import Job, autocast
from rnncli.training.loop import stored_reason
from rnncli.training.outcome import Outcome


def model_line(model: nn.Module) -> str:
    """Its stages from input to head: `OneHot(4) -> RNN(4, 4) tanh -> Linear(4, 4)`."""
    return " -> ".join(_stage(stage) for stage in model.children())


def _stage(stage: nn.Module) -> str:
    spec = spec_of(stage)
    if spec is not None:
        return str(spec)
    if isinstance(stage, nn.Embedding):
        return f"Embedding({stage.num_embeddings}, {stage.embedding_dim})"
    if isinstance(stage, nn.Linear):
        return f"Linear({stage.in_features}, {stage.out_features})"
    inside = stage.extra_repr()
    return f"{type(stage).__name__}({inside})" if "=" not in inside and inside else type(stage).__name__


def header(job: Job) -> records.Page:
    """The model, the data and the engine."""
    config = job.config
    lines = [
        records.Message(
            trn(
                "{model}   {n} parameter · engine {engine} · threads {threads}",
                "{model}   {n} parameters · engine {engine} · threads {threads}",
                model=model_line(job.model),
                n=job.cost.parameters,
                engine=config.model.engine,
                threads=config.train.threads,
            )
        ),
        records.Message(counts_line(job.splits), "note"),
        *(records.Message(note, "note") for note in job.splits.notes),
    ]
    if config.train.precision != "float32":
        name, (half, full) = config.train.precision, first_losses(job)
        text = tr(
            "precision {name}: the first batch's loss is {half}, in float32 {full}", name=name, half=half, full=full
        )
        lines.append(records.Message(text))
    if job.world > 1:
        lines.append(records.Message(tr("{n} processes share the rows of every batch", n=job.world)))
    return _page(job, f"{job.recipe.name}   {config.task}", lines)


def first_losses(job: Job) -> tuple[str, str]:
    """The loss of the first batch before training, in the recipe's precision and in float32; six digits."""
    batch = job.first_batch()
    found = []
    job.model.eval()  # without dropout
    for precision in (job.config.train.precision, "float32"):
        with torch.random.fork_rng(), autocast(job.device, precision):
            loss = job.task.loss(job.config, job.model, batch, None)
        found.append(f"{float(loss.total.detach()) / loss.count:.6g}")
    return found[0], found[1]


# Units of the tasks' data counts.
_COUNTED = {
    "clips": ("{n} clip", "{n} clips"),
    "films": ("{n} image sequence", "{n} image sequences"),
    "frames": ("{n} frame", "{n} frames"),
    "pairs": ("{n} pair", "{n} pairs"),
    "rows": ("{n} row", "{n} rows"),
    "rows an epoch": ("{n} row per epoch", "{n} rows per epoch"),
    "seconds": ("{n} second", "{n} seconds"),
    "sentences": ("{n} sentence", "{n} sentences"),
    "series": ("{n} series", "{n} series"),
    "sequences": ("{n} sequence", "{n} sequences"),
    "source tokens": ("{n} source token", "{n} source tokens"),
    "steps": ("{n} step", "{n} steps"),
    "target tokens": ("{n} target token", "{n} target tokens"),
    "texts": ("{n} text", "{n} texts"),
    "tokens": ("{n} token", "{n} tokens"),
    "windows": ("{n} window", "{n} windows"),
    "words": ("{n} word", "{n} words"),
}


def counted(n: int, what: str) -> str:
    """`1 text`, `1,525 texts`; units of other packages' tasks are shown unchanged."""
    return trn(*_COUNTED[what], n=n) if what in _COUNTED else f"{n:,} {tr(what)}"


def counts_line(splits: AnySplits) -> str:
    """`train: 1,525 texts, 10,473 steps; validation: ... (how they were chosen)`."""
    rows = [
        tr("{part}: {counts}", part=tr(part), counts=tr(", ").join(counted(n, what) for what, n in counts.items()))
        for part, counts in splits.counts.items()
    ]
    return tr("; ").join(rows) + (tr(" ({note})", note=splits.how) if splits.how else "")


def closing(job: Job, outcome: Outcome) -> records.Page:
    """One example step by step, then the network with its baselines and the control without memory."""
    shown = [*job.task.summarize(job.config, job.model, job.splits, outcome.on), result_table(job, outcome)]
    shown += [records.Message(note, "note") for note in outcome.notes]
    return _page(job, tr("result on {part}", part=tr(outcome.on)), shown)


def result_table(job: Job, outcome: Outcome) -> records.Table:
    """Rows: this network, the same without memory, the baselines. Columns: all their metrics."""
    config = job.config
    rows: list[tuple[str, Metrics, str]] = [(config.model.cell, outcome.metrics, tr("epoch {n}", n=outcome.best_epoch))]
    for name, metrics in outcome.compared.items():
        without = name == CONTROL
        about = tr("feedforward") if without else ""
        rows.append((tr("without memory") if without else name, metrics, about))
    rows += [(baseline.name, baseline.metrics, baseline.about) for baseline in outcome.baselines]
    return metrics_table(rows)


def run_page(
    name: str, config: RecipeConfig, model: nn.Module, result: Mapping[str, Json], log: Sequence[Mapping[str, Json]]
) -> records.Page:
    """A run as stored on disk. result: result.json, empty until training has ended. log: metrics.jsonl."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    what = trn("{task}, {n} parameter", "{task}, {n} parameters", task=config.task, n=parameters)
    shown: list[records.Record] = [records.Message(f"{what}: {model_line(model)}")]
    if result:
        best, n = tr("epoch {n}", n=result["best_epoch"]), int(json_number(result["epochs"]))
        epochs = trn("{n} epoch", "{n} epochs", n=n)
        why, _ = stored_reason(str(result["stopped"]), config.train)
        shown.append(records.Message(f"{epochs} ({why}); {tr('kept')}: {best}", "note"))
        others = [*json_object(result["compared"]).items(), *json_object(result["baselines"]).items()]
        found = [(config.model.cell, result["metrics"]), *others]
        shown.append(metrics_table([(name, numbers(values), "") for name, values in found]))
    else:
        shown.append(records.Message(tr("training has not ended: there is no result yet"), "note"))
    if len(log) > 1:
        lines = {tr("train"): [json_number(line["loss"]) for line in log]}
        if "validation" in log[0]:
            lines[tr("validation")] = [json_number(json_object(line["validation"])["loss"]) for line in log]
        x = [json_number(line["epoch"]) for line in log]
        shown.append(records.Series("loss", x, lines, tr("epoch"), tr("loss"), tr("loss")))
    train = config.train
    return records.Page("", name, shown, seed=train.seed, device=train.device, dtype=train.dtype)


MIN_METRICS = 3  # metrics of a table to keep if not all fit


def _label(name: str) -> str:
    """A metric's long name."""
    return tr("bits per character") if name == "bits" else tr(name)


def metrics_table(rows: list[tuple[str, Metrics, str]]) -> records.Table:
    """One row per method: its name, its metrics, a short description."""
    names = list(dict.fromkeys(name for _, metrics, _ in rows for name in metrics))
    many = len(names) > MIN_METRICS + 2
    columns = [
        records.Column("name", "", "text"),
        *(records.Column(name, _label(name), optional=many and k >= MIN_METRICS) for k, name in enumerate(names)),
        records.Column("about", "", "text"),
    ]
    table: list[list[Entry]] = [[name, *(metrics.get(key) for key in names), about] for name, metrics, about in rows]
    return records.Table("result", columns, table)


def _page(job: Job, title: str, shown: Sequence[records.Record]) -> records.Page:
    train = job.config.train
    return records.Page(
        schema="",
        title=title,
        records=shown,
        seed=train.seed,
        device=job.device.type,
        dtype=train.dtype,
        torch=torch.__version__.split("+")[0],
    )
