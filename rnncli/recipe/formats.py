"""Compatibility with older recipe formats."""

from __future__ import annotations

from rnncli.recipe.sections import RecipeConfig, Section

WORDS_OF_1 = "words-0.1"  # they split placeholders (<unk>) and words at joiners
TOKEN_KEYS = ("tokens", "source_tokens", "target_tokens")  # of `data:`, which may be `words`


def as_meant_in_format_1(values: dict[str, object], config: type[RecipeConfig]) -> None:
    """In a recipe of format 1, defaults and `words` keep their meaning of 0.1."""
    words_of_format_1(values, config)
    train = values.get("train")
    if values.get("task") == "translation" and isinstance(train, dict):
        train.setdefault("best_by", "exact-match")


def words_of_format_1(values: dict[str, object], config: type[RecipeConfig]) -> None:
    """In a recipe of format 1, `words`, given or by default, means those of 0.1."""
    data, section = values.get("data"), config.model_fields["data"].annotation
    if not isinstance(data, dict) or not isinstance(section, type) or not issubclass(section, Section):
        return
    for name in TOKEN_KEYS:
        if name in section.model_fields and data.get(name, section.model_fields[name].default) == "words":
            data[name] = WORDS_OF_1
