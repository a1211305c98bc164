"""The comments of a recipe in the current language; its keys and values stay as they are."""

from __future__ import annotations

from rnncli.errors import RecipeError
from rnncli.locale import language
from rnncli.recipe.parse import parse
from rnncli.render.lines import wrap
from rnncli.starters import Comment, comments

WIDTH = 80


def localized(text: str) -> str:
    """The recipe's text with translated comments, wrapped at 80 cells. Comments without a translation, such as a user's
    own, keep their lines."""
    if language() == "en":
        return text
    lines = text.split("\n")
    for comment in reversed(comments(text)):
        theirs = comment.translated()
        if theirs != comment.text:
            lines[comment.first : comment.end] = _lines(comment, theirs, lines[comment.first][: comment.column])
    made = "\n".join(lines)
    try:
        same = parse(made, "", lines=False)[0].value() == parse(text, "", lines=False)[0].value()
    except RecipeError:  # the text itself is faulty
        same = False
    return made if same else text


def _lines(comment: Comment, text: str, before: str) -> list[str]:
    further = " " * comment.column + ("#   " if before else "# ")
    first, *others = wrap(text, max(WIDTH - len(further), 24))
    return [f"{before}# {first}", *(further + other for other in others)]
