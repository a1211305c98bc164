"""Compatibility with older recipe formats."""

from __future__ import annotations

from rnncli.recipe.hints import section_of
from rnncli.recipe.sections import RecipeConfig

WORDS_OF_1 = "words-0.1"  # they split placeholders (<unk>) and words at joiners
TOKEN_KEYS = ("tokens", "source_tokens", "target_tokens")  # of `data:`, which may be `words`


def as_meant_in_format_1(values: dict[str, object], config: type[RecipeConfig]) -> None:
    """In a recipe of format 1, defaults and `words`, given or by default, keep their meaning of 0.1."""
    data, train = values.get("data"), values.get("train")
    section = section_of(config.model_fields["data"].annotation)
    if isinstance(data, dict) and section is not None:
        for name in TOKEN_KEYS:
            if name in section.model_fields and data.get(name, section.model_fields[name].default) == "words":
                data[name] = WORDS_OF_1
    if values.get("task") == "translation" and isinstance(train, dict):
        train.setdefault("best_by", "exact-match")
