from __future__ import annotations

import os
from typing import Any

_HERE = os.path.join(os.path.dirname(__file__), "html")


def page_template(name: str, *folders: str) -> Any:
    """Return a Jinja template that escapes what it shows; the pages of a folder share those of the report.

    Parameters
    ----------
    name : str
        File name of the template.
    *folders : str
        Where to look for it first.

    Returns
    -------
    jinja2.Template

    Examples
    --------
    >>> import datetime
    >>> page = page_template("base.html").render(title="a < b", date=datetime.datetime(2026, 1, 1), version="1")
    >>> "<title>a &lt; b</title>" in page
    True
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([*folders, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template(name)
