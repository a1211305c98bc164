"""`rnncli doctor`: check the installation."""

from __future__ import annotations

from rnncli import render
from rnncli.cli.deliver import AsJson, Save, deliver
from rnncli.cli.live import waiting
from rnncli.cli.out import hand_over
from rnncli.cli.settings import settings
from rnncli.locale import set_language, tr
from rnncli.records import Page


def doctor(json: AsJson = False, save: Save = None) -> None:
    """Check this installation and run a self-test. Include the output in bug reports."""
    from rnncli.doctor import examine

    if not _rich_works():
        set_language("en")

    def make() -> Page:
        with waiting(tr("measuring, takes a few seconds ..."), quiet=json):
            return examine()

    deliver(make, json=json, save=save, draw=_draw)


def _draw(page: Page) -> None:
    """Print the page, at most 79 columns wide for pasting; in plain Python if Rich is broken."""
    if _rich_works():
        from rich.console import Console

        render.show(page, ascii=settings.ascii, width=min(79, Console().width))
    else:
        hand_over(render.to_text(page, width=79, ascii=True))


def _rich_works() -> bool:
    try:
        import rich.console  # noqa: F401
    except Exception:  # a broken package may raise anything
        return False
    return True
