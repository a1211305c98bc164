"""Rebuilds reparametrized weights: the weight that the module uses in evaluation.

Weight drop (`_raw`), pruning (`_orig`, `_mask`), torch's weight_norm (`_g`, `_v`) and spectral_norm (`_orig`, `_u`,
`_v`), and all of torch.nn.utils.parametrizations. Results equal those of torch 2's modules in eval().
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rnncli.errors import DataError
from rnncli.locale import tr

_PARAMETRIZED = re.compile(r"^(?P<prefix>(?:.*\.)?)parametrizations\.(?P<name>[^.]+)\.(?P<rest>.+)$")


class Form(NamedTuple):
    """parts: suffixes of a weight's name. make: their tensors -> the weight. about: name of the method."""

    parts: Sequence[str]
    make: Callable[..., Tensor]
    about: Callable[[], str]


def _weight_norm(g: Tensor, v: Tensor) -> Tensor:
    """w = g·v/|v|, over all axes along which g has size 1. Salimans and Kingma 2016 (arXiv:1602.07868)."""
    axes = [axis for axis in range(v.dim()) if g.dim() == 0 or g.shape[axis] == 1]
    return v * (g / torch.linalg.vector_norm(v, dim=axes, keepdim=True)) if axes else v / v.abs() * g


def _spectral_norm(orig: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """w = W/(uᵀWv): u and v from training, as used in eval(). Miyato et al. 2018 (arXiv:1802.05957)."""
    fitting = [matrix for matrix in (orig, orig.mT) if matrix.shape == (len(u), len(v))]
    # The axis of a square weight is ambiguous: u and v are singular vectors, so the wrong choice gives a smaller value.
    return orig / max((torch.vdot(u, torch.mv(matrix, v)) for matrix in fitting), key=abs)


# The longest first: spectral norm and pruning share `_orig`, and `_v` is also weight norm's.
_FORMS = (
    Form(("_raw",), lambda raw: raw, lambda: tr("weight drop")),
    Form(("_orig", "_mask"), lambda orig, mask: orig * mask.to(orig), lambda: tr("pruning")),
    Form(("_g", "_v"), _weight_norm, lambda: tr("weight norm")),
    Form(("_orig", "_u", "_v"), _spectral_norm, lambda: tr("spectral norm")),
)


def plain_name(name: str) -> str:
    """The weight to which `weight_hh_l0_v_orig` belongs."""
    return re.sub(r"(?:_(?:raw|orig|mask|g|v|u))+$", "", name)


def rebuild(tensors: Mapping[str, Tensor], is_weight: Callable[[str], bool], where: str) -> tuple[
    dict[str, Tensor], dict[str, str]
]:  # fmt: skip
    """(all tensors, with rebuilt weights under their own names; name -> method).

    is_weight: whether a name is a cell's parameter. A rebuilt weight replaces a copy next to it, a stale result of a
    forward pass. Raises DataError: parts that do not match, or a parametrization that a file does not record.
    """
    found, notes = dict(tensors), dict[str, str]()
    for name, parts in _parametrized(found).items():
        if is_weight(name):
            for old in parts.values():
                del found[old]
            given = {part: tensors[old] for part, old in parts.items()}
            _put(found, notes, name, *_of_parametrizations(name, given, where), where=where)
    done = -1
    while done < len(notes):  # nested methods
        done = len(notes)
        for form in _FORMS:
            first = form.parts[0]
            for name in [full.removesuffix(first) for full in found if full.endswith(first)]:
                whole = [name + part for part in form.parts]
                if is_weight(plain_name(name)) and all(part in found for part in whole):
                    made = _made(form.make, name, [found.pop(part) for part in whole], where)
                    _put(found, notes, name, made, form.about(), where=where)
    return found, notes


def _put(found: dict[str, Tensor], notes: dict[str, str], name: str, made: Tensor, about: str, *, where: str) -> None:
    if name in found and found[name].shape != made.shape:
        raise DataError(
            tr("{name} is stored twice with different shapes: plain, and in parts ({about})", name=name, about=about),
            where=where,
        )
    stale = tr("; the copy next to them is stale and not used") if name in found else ""
    notes[name] = tr("{name} is rebuilt from its stored parts ({about})", name=name, about=about) + stale
    found[name] = made


def _made(make: Callable[..., Tensor], name: str, parts: Sequence[Tensor], where: str) -> Tensor:
    try:
        return make(*parts)
    except (RuntimeError, IndexError, ValueError) as error:  # shapes that do not match
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        what = tr("{name} cannot be rebuilt from shapes {shapes}", name=name, shapes=shapes)
        raise DataError(what, where=where) from error


def _parametrized(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, str]]:
    """Name of a weight -> part (`original`, `0._u` ...) -> its full name, for torch's parametrizations."""
    found: dict[str, dict[str, str]] = {}
    for full in tensors:
        if match := _PARAMETRIZED.match(full):
            found.setdefault(match["prefix"] + match["name"], {})[match["rest"]] = full
    return found


def _of_parametrizations(name: str, parts: Mapping[str, Tensor], where: str) -> tuple[Tensor, str]:
    """(the weight, method) for torch.nn.utils.parametrizations, applied in order if there are several."""
    kinds = set(parts)
    if kinds == {"original0", "original1"}:
        return _made(_weight_norm, name, [parts["original0"], parts["original1"]], where), tr("weight norm")
    weight, about = parts.get("original"), ""
    for number in range(len(kinds)):
        own = {part: tensor for part, tensor in parts.items() if part.startswith(f"{number}.")}
        if weight is None or not own:
            break
        u, v, base = (own.get(f"{number}.{part}") for part in ("_u", "_v", "base"))
        if u is not None and v is not None and len(own) == 2:
            weight, about = _made(_spectral_norm, name, [weight, u, v], where), tr("spectral norm")
        elif base is not None and len(own) == 1:
            weight, about = _made(_orthogonal, name, [weight, base], where), _which_map(weight)
        else:
            break
        kinds -= set(own)
    if weight is not None and kinds == {"original"} and (about or _reflections(weight)):
        return (weight, about) if about else (_made(_householder, name, [weight], where), tr("orthogonal"))
    parts_found = ", ".join(sorted(parts))
    raise DataError(
        tr("{name} has a parametrization that the file does not record: {parts}", name=name, parts=parts_found),
        where=where,
        todo=tr("save it as a plain weight: torch.nn.utils.parametrize.remove_parametrizations(module, name)"),
    )  # fmt: skip


def _which_map(weight: Tensor) -> str:
    kind = "matrix_exp" if weight.shape[0] == weight.shape[1] else "householder"
    return tr(
        "orthogonal; the file does not record its map: assuming {kind}, torch's default for this shape", kind=kind
    )


def _reflections(weight: Tensor) -> bool:
    """Whether it can only come from orthogonal(use_trivialization=False): signs on the diagonal, never trained."""
    return bool(weight.diagonal().abs().eq(1).all())


def _orthogonal(original: Tensor, base: Tensor) -> Tensor:
    """base·Q with torch's default map: exp of a skew-symmetric matrix for square weights, reflections otherwise."""
    tall = original if original.shape[0] >= original.shape[1] else original.mT
    if tall.shape[0] == tall.shape[1]:
        lower = original.tril()
        return base @ torch.matrix_exp(lower - lower.mT)
    made = base @ _householder(tall)
    return made if tall is original else made.mT


def _householder(original: Tensor) -> Tensor:
    """A product of reflections, with the diagonal's signs. Lezcano-Casado 2019 (arXiv:1909.09501) compares the maps."""
    tall = original if original.shape[0] >= original.shape[1] else original.mT
    lower = tall.tril(-1)
    tau = 2 / (1 + (lower * lower).sum(dim=-2))
    made: Tensor = torch.linalg.householder_product(lower, tau) * tall.diagonal().int()
    return made if tall is original else made.mT
