"""A packaged recipe's comments in Chinese: the same recipe, the same figures, nothing of a user's own changed."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from rnncli.locale import speaking
from rnncli.recipe.comments import WIDTH, localized
from rnncli.recipe.parse import parse
from rnncli.render.lines import cells
from rnncli.starters import about, comments, packaged_recipes, recipe_folder, recipe_text

NUMBER = re.compile(r"\d[\d.,]*\d|\d")
CHINESE = re.compile("[一-龥]")


def text_of(name: str) -> str:
    return recipe_text(recipe_folder() / f"{name}.yaml")


@pytest.mark.parametrize("name", packaged_recipes())
def test_a_recipe_in_chinese(name: str) -> None:
    ours = text_of(name)
    assert localized(ours) == ours
    with speaking("zh"):
        theirs = localized(ours)
        assert all(comment.translated() != comment.text for comment in comments(ours))
        assert CHINESE.search(about(name))
        assert localized(theirs) == theirs
    assert parse(theirs, "")[0].value() == parse(ours, "")[0].value()
    assert theirs.split("\n")[0] == ours.split("\n")[0]
    code = [[re.sub(r"\s+# .*", "", line) for line in text.split("\n")] for text in (ours, theirs)]
    code = [[line for line in lines if line.strip() and not line.lstrip().startswith("#")] for lines in code]
    assert code[0] == code[1]
    assert max(cells(line) for line in theirs.split("\n")) <= max(WIDTH, *map(len, ours.split("\n")))


@pytest.mark.parametrize("name", packaged_recipes())
def test_the_figures_are_the_same(name: str) -> None:
    with speaking("zh"):
        pairs = [
            (comment.text, comment.translated()) for comment in comments(text_of(name)) if "Result" in comment.text
        ]
    assert [Counter(NUMBER.findall(ours)) for ours, _ in pairs] == [Counter(NUMBER.findall(zh)) for _, zh in pairs]


def test_comments_end_where_they_end() -> None:
    text = (
        "# rnncli train x\n#\n# One sentence.\n# Another one.\n#   rnncli doctor\n# Then: rnncli doctor\n"
        "a: 'x # y'   # of a\nb: # of b\n  c: \"# no\"      # of c,\n               #   still of c\n"
        "  # d: 1        # of d\n  # e: 2\n  f: 1           # p | q | r s\n"
    )
    assert [comment.text for comment in comments(text)] == [
        "One sentence. Another one.", "Then: rnncli doctor", "of a", "of b", "of c, still of c", "of d"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "own",
    [
        "task: tagging # mine\n# size of me\n",
        "a: |\n  x # size of h\nb: 1\n",  # text, not a comment
        "a: it's   # size of h, in a line with one quote\n",
        "a: [1   # size of h\n",  # no YAML
    ],
)
def test_what_is_a_users_own_stays(own: str) -> None:
    with speaking("zh"):
        assert localized(own) == own
