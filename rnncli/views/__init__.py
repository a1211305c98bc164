"""Views of `rnncli inspect TARGET VIEW`: one file per view, named after it, plus the entry points `rnncli.views` of
installed packages.

Every view file implements the protocol `View` below. A view takes a `Subject` (a model, a batch, and task information
about them), reads one Trace of it, and returns records. Views never import each other.

    from rnncli import views
    page = views.page("memory", views.subject_of_recipe(rnncli.load_recipe("hello")))
    records = views.load_view("memory").compute(subject, views.Options(layer=0))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.registry import on_first_use
from rnncli.views._view import (
    BATCH,
    GROUPS,
    PROTOCOL,
    VIEWS,
    Options,
    View,
    about_views,
    load_view,
    refuse_unread,
    view_names,
)

if TYPE_CHECKING:
    from rnncli.views._compare import side_by_side as side_by_side
    from rnncli.views._overview import overview as overview
    from rnncli.views._page import page as page
    from rnncli.views._subject import Subject as Subject
    from rnncli.views._subject import subject_of_model as subject_of_model
    from rnncli.views._subject import subject_of_recipe as subject_of_recipe
    from rnncli.views._subject import subject_of_task as subject_of_task
    from rnncli.views._subject import subject_of_weights as subject_of_weights

_HOMES = {
    "Subject": "_subject",
    "overview": "_overview",
    "page": "_page",
    "side_by_side": "_compare",
    "subject_of_model": "_subject",
    "subject_of_recipe": "_subject",
    "subject_of_task": "_subject",
    "subject_of_weights": "_subject",
}
__getattr__ = on_first_use(__name__, _HOMES)


__all__ = [
    "BATCH", "GROUPS", "PROTOCOL", "VIEWS", "Options", "View", "about_views", "load_view", "refuse_unread",
    "view_names", *_HOMES,
]  # fmt: skip
