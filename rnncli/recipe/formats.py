"""What recipes of an older format mean."""

from __future__ import annotations

from rnncli.recipe.sections import RecipeConfig, Section

WORDS_OF_1 = "words-0.1"  # they cut prepared signs (<unk>) and words at joiners
TOKEN_KEYS = ("tokens", "source_tokens", "target_tokens")  # of `data:`, where words may stand


def as_meant_in_format_1(values: dict[str, object], config: type[RecipeConfig]) -> None:
    """What a recipe of format 1 leaves out, or calls words, is what it was in 0.1."""
    words_of_format_1(values, config)
    train = values.get("train")
    if values.get("task") == "translation" and isinstance(train, dict):
        train.setdefault("best_by", "exact-match")


def words_of_format_1(values: dict[str, object], config: type[RecipeConfig]) -> None:
    """Where a recipe of format 1 has words, given or by default, they are those of 0.1."""
    data, section = values.get("data"), config.model_fields["data"].annotation
    if not isinstance(data, dict) or not isinstance(section, type) or not issubclass(section, Section):
        return
    for name in TOKEN_KEYS:
        if name in section.model_fields and data.get(name, section.model_fields[name].default) == "words":
            data[name] = WORDS_OF_1
