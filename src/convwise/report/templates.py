"""The templates that lie beside this file, escaping whatever is put into them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def environment(finalize: Callable[[object], object] | None = None) -> "jinja2.Environment":
    """Where templates are found; `finalize` makes what is shown of each value."""
    import jinja2  # where it is used: the command line starts without it

    return jinja2.Environment(
        loader=jinja2.PackageLoader("convwise.report", ""),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
