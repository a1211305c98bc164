"""The doctor's page: what is installed, what was tested, and how to fix problems.

Suitable for bug reports: under 80 columns, the home folder as ~, no host name.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rnncli import __version__
from rnncli.bench import gains
from rnncli.bench.machine import processor
from rnncli.device import memory_available
from rnncli.doctor import packages, system
from rnncli.doctor.child import Answers, self_test
from rnncli.locale import language, tr, trn
from rnncli.records import Check, Checks, Column, Json, Message, Page, Table, json_list, json_number, json_object
from rnncli.render.numbers import size

LITTLE_DISK = 1 << 30
LITTLE_MEMORY = 1 << 30
NOT_EXTRAS = ("test", "dev")  # for developers of rnncli


@dataclass
class _Findings:
    """rows: (key, label, displayed value). problems: (key, message, hint). facts: for programs."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    facts: dict[str, Json] = field(default_factory=dict)

    def row(self, name: str, label: str, value: str) -> None:
        self.rows.append((name, label, system.without_home(value)))

    def problem(self, name: str, what: str, todo: str) -> None:
        self.problems.append((name, system.without_home(what), system.without_home(todo)))

    def check(self, name: str, text: str, whys: Sequence[str], todo: str, **numbers: float | None) -> None:
        """Add a check, which passes if `whys` is empty; otherwise add a problem, too."""
        self.checks.append(Check(name, not whys, text, **numbers))
        if whys:
            self.problem(name, "; ".join(whys), todo)


def examine() -> Page:
    """Everything `rnncli doctor` shows; takes a few seconds. Never raises: broken parts are reported on the page."""
    found = _Findings()
    needed = _needs(found)
    tested = self_test(_modules(needed))
    torch = tested.facts.get("torch", {})
    _python(found, needed)
    _packages(found, needed, tested)
    _machine(found, torch)
    _terminal(found)
    _folders(found)
    _self_test(found, tested)
    columns = (Column("name", "", "text"), Column("value", "", "text"))
    shown = Table("installation", columns, [(label, value) for _, label, value in found.rows])
    found.facts["problems"] = [{"name": name, "what": what, "todo": todo} for name, what, todo in found.problems]
    notes = [Message(f"{what}\n  -> {todo}" if todo else what, "warning") for _, what, todo in found.problems]
    text = trn("Not quite: {n} problem, see below how to fix it.",
               "Not quite: {n} problems, see below how to fix them.", n=len(notes))  # fmt: skip
    answer = Message(text if notes else tr("Yes: everything works here."), "answer", "answer")
    return Page(
        "rnncli/doctor/1",
        f"rnncli {__version__}",
        [answer, shown, Checks(found.checks), *notes],
        config=found.facts,
        torch=str(torch.get("version", "")),
    )


def _needs(found: _Findings) -> packages.Needs:
    try:
        return packages.needs()
    except (ImportError, LookupError, OSError, ValueError) as error:
        why = tr("rnncli's own metadata cannot be read: {why}", why=error)
        found.problem("metadata", why, tr("reinstall it: {command}", command="pip install --force-reinstall rnncli"))
        return packages.Needs([], {}, "")


def _modules(needed: packages.Needs) -> list[str]:
    """The modules that the self-test imports: required ones with torch last, then those of the installed extras."""
    required = sorted(needed.required, key=lambda one: one.name == "torch")
    extra = [one for name, some in needed.extras.items() if name not in NOT_EXTRAS for one in some]
    names = [packages.module(one.name) for one in [*required, *extra] if one.found]
    return list(dict.fromkeys(name for name in names if name))


def _python(found: _Findings, needed: packages.Needs) -> None:
    here = system.python()
    place = tr("virtual environment") if here["virtual_environment"] else tr("no virtual environment")
    found.row("python", "python", f"{here['version']}, {here['system']} {here['machine']}, {place}")
    found.facts["python"] = here
    found.facts["versions"] = {"rnncli": __version__, **{one.name: one.found for one in needed.required}}
    if needed.python and not packages.within(str(here["version"]), needed.python):
        what = tr("rnncli needs Python {wanted}; this is {found}", wanted=needed.python, found=here["version"])
        found.check(
            "python", tr("this Python is new enough"), [what], tr("create a virtual environment with a newer one")
        )


def _packages(found: _Findings, needed: packages.Needs, tested: Answers) -> None:
    found.row("packages", tr("packages"), " · ".join(f"{one.name} {one.found or '-'}" for one in needed.required))
    wrong = [one.missing for one in needed.required if not one.fits]
    broken = _broken(needed.required, tested)
    names = [one.name for one in needed.required if one.missing in wrong or packages.module(one.name) in broken]
    found.check(
        "packages",
        tr("all required packages are installed and can be imported"),
        [*(tr("missing: {what}", what=what) if " " not in what else what for what in wrong), *broken.values()],
        "pip install --upgrade --force-reinstall {}".format(" ".join(names)),
    )
    extras = {name: [one for one in some if not one.fits] for name, some in needed.extras.items()}
    found.facts["extras"] = {name: {"missing": [one.missing for one in lacks]} for name, lacks in extras.items()}
    here = [name for name, lacks in extras.items() if not lacks]
    found.row("extras", tr("extras"), " · ".join(here) or tr("none"))
    absent = [f"{name} ({', '.join(one.missing for one in lacks)})" for name, lacks in extras.items() if lacks]
    if absent:
        found.row("missing", tr("not installed"), ", ".join(absent) + "; pip install 'rnncli[NAME]'")
    if extras.get("fast"):
        times = gains.gain_text(("rnn", "gru", "lstm"), "train")
        text = tr("training {times} times as fast, measured on one thread; {todo}", times=times, todo=gains.COMMAND)
        found.row("fast", "fast", text)
    for name, some in needed.extras.items():
        if name in NOT_EXTRAS:
            continue
        bad = _broken(some, tested)
        if bad:
            text = tr("the packages of the extra {name} can be imported", name=name)
            names = [one.name for one in some if packages.module(one.name) in bad]
            found.check(f"extra {name}", text, list(bad.values()), f"pip install --force-reinstall {' '.join(names)}")


def _broken(some: Sequence[packages.Requirement], tested: Answers) -> dict[str, str]:
    """Module -> why it cannot be imported, for installed packages."""
    modules = [packages.module(one.name) for one in some if one.found]
    answers = {name: tested.checks.get(f"import {name}") for name in modules}
    return {name: f"import {name}: {said['why']}" for name, said in answers.items() if said and not said["ok"]}


def _machine(found: _Findings, torch: Mapping[str, Json]) -> None:
    features = system.features()
    found.row("processor", tr("processor"), " · ".join([processor(), " ".join(features)]).strip(" ·"))
    if torch:
        built = [name for name, key in (("oneDNN", "onednn"), ("MKL", "mkl"), ("OpenMP", "openmp")) if torch[key]]
        lacks = [name for name in ("oneDNN", "OpenMP") if name not in built]
        found.row("kernels", "torch", tr("kernels for {what}", what=torch["kernels"]) + f" · {' · '.join(built)}")
        if lacks:
            what = tr("torch is built without {names}: recurrent layers are slow", names=", ".join(lacks))
            found.problem("kernels", what, tr("install torch as described on pytorch.org"))
        found.row("devices", tr("devices"), _devices(found, torch))
    cores, set_ = system.cores(), system.settings()
    limits = [
        f"{label} {cores[key]}"
        for label, key in ((tr("cores"), "machine"), (tr("usable by this process"), "affinity"), (tr("quota"), "quota"))
        if cores[key] is not None
    ]
    taken = tr("small models use 1, large ones {n}", n=cores["usable"])
    found.row("threads", tr("threads"), "; ".join([", ".join(limits), taken]))
    if set_:
        found.row("settings", tr("settings"), " ".join(f"{name}={value}" for name, value in set_.items()))
    memory = memory_available()
    if memory is not None:
        found.row("memory", tr("memory"), tr("{size} available", size=size(memory)))
        if memory < LITTLE_MEMORY:
            what = tr("only {size} of memory are available", size=size(memory))
            found.problem("memory", what, tr("close other programs, or use less: --set train.batch_size=8"))
    found.facts |= {
        "processor": processor(),
        "features": features,
        "torch": torch,
        "cores": cores,
        "settings": set_,
        "memory": memory,
    }


def _devices(found: _Findings, torch: Mapping[str, Json]) -> str:
    seen = [json_object(gpu) for gpu in json_list(torch["gpus"])]
    gpus = [f"cuda: {gpu['name']}, {size(json_number(gpu['memory']))}" for gpu in seen]
    if torch["cuda_built"] and not gpus:
        gpus = [tr("no GPU found, though torch is built for {what}", what=torch["cuda_built"])]
    return " · ".join(["cpu", *gpus, *(["mps"] if torch["mps"] else [])])


def _terminal(found: _Findings) -> None:
    try:
        from rnncli.render import terminal

        can = terminal.abilities(sys.stdout)
    except Exception as error:  # rich is missing, or broken
        found.row("terminal", tr("terminal"), tr("unknown: {why}", why=error))
        return
    parts = [
        str(can["encoding"]),
        tr("{n} columns", n=can["width"]),
        tr("colours: {what}", what=can["colours"] or tr("none")),
        tr("symbols") if can["symbols"] else tr("ASCII only"),
        *([] if can["terminal"] else [tr("not a terminal: a pipe or file")]),
        language(),
    ]
    found.row("terminal", tr("terminal"), " · ".join(parts))
    found.facts["terminal"] = {**can, "language": language()}
    if not can["symbols"]:
        what = tr(
            "the encoding {name} lacks box-drawing and block characters: using ASCII instead", name=can["encoding"]
        )
        found.problem("terminal", what, tr("set a UTF-8 locale, or PYTHONUTF8=1"))


def _folders(found: _Findings) -> None:
    folders = system.folders()
    labels = {"runs": tr("runs"), "cache": tr("cache"), "temporary": tr("temporary")}
    for folder in folders:
        free = tr("{size} free", size=size(folder.free)) if folder.free is not None else tr("cannot be written")
        found.row(folder.name, labels[folder.name], f"{folder.shown} · {free}")
        if folder.free is not None and folder.free < LITTLE_DISK:
            what = tr("{folder}: only {size} are free", folder=folder.shown, size=size(folder.free))
            found.problem(folder.name, what, tr("free some space, or choose another folder"))
    bad = [f"{folder.shown}: {folder.why}" for folder in folders if folder.why]
    found.check(
        "folders",
        tr("folders for runs, caches and temporary files are writable"),
        bad,
        tr("change to a folder you can write to, or use --out DIR; RNNCLI_CACHE and TMPDIR set the others"),
    )
    found.facts["folders"] = [vars(folder) for folder in folders]


def _self_test(found: _Findings, tested: Answers) -> None:
    """The parts that ran, and one that crashed the process; imports are reported elsewhere."""
    texts = {
        "proofs": tr("the proofs of rnncli demo pass for every cell"),
        "engines": tr("the engines agree, including gradients"),
        "training": tr("the recipe hello learns ohlol"),
        "reopening": tr("its run folder can be opened, with the same loss"),
    }
    whole = all(check.ok for check in found.checks if check.name == "packages")
    again = tr("reinstall torch; if that does not help, report it with this page") if whole else ""
    for name, said in tested.checks.items():
        if name.startswith("import "):
            continue
        why = [] if said["ok"] else [str(said["why"] or tr("the numbers differ"))]
        text = texts.get(name, tr("the self-test runs"))
        found.check(name, text, why, again, diff=_number(said["diff"]), tol=_number(said["tol"]))


def _number(value: Json) -> float | None:
    return None if value is None else json_number(value)
