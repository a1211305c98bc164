"""Chinese: the English text of a `tr(...)` call -> what is shown."""

TEXTS: dict[str, str] = {}
