"""The step-through screen: Textual reads keys and paints lines. Imported only when the screen is opened."""

from __future__ import annotations

from rich.text import Text
from textual.app import App, ComposeResult
from textual.events import Key
from textual.widget import Widget

from rnncli.cli.walking import Walker
from rnncli.render.terminal import STYLES


class Painted(Widget):
    """All lines of the terminal; every key goes to the walker."""

    def __init__(self, walker: Walker) -> None:
        super().__init__()
        self.walker, self.can_focus = walker, True

    def render(self) -> Text:
        text = Text(no_wrap=True, end="")
        for k, line in enumerate(self.walker.lines(self.size.width, self.size.height)):
            text.append("\n" if k else "")
            for part, style in line:
                text.append(part, STYLES.get(style, style))
        return text

    def on_key(self, event: Key) -> None:
        event.stop()
        event.prevent_default()
        written = event.character is not None and event.character.isprintable() and event.character != " "
        if self.walker.press(event.character if written and event.character else event.key):
            self.refresh()
        else:
            self.app.exit()


class Stepper(App[None]):
    """Runs until a key quits. Keeps the terminal's colours and honours NO_COLOR."""

    CSS = """
        Screen, Painted { background: ansi_default; color: ansi_default; }
        Painted { width: 100%; height: 100%; }
    """
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, walker: Walker) -> None:
        super().__init__(ansi_color=True)
        self.painted = Painted(walker)

    def compose(self) -> ComposeResult:
        yield self.painted

    def on_mount(self) -> None:
        self.painted.focus()
