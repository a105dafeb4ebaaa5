"""The report of an enrollment: which photos were left out and why."""

from __future__ import annotations

import os

from gluonfr.apps.gallery.enrolling import EnrollmentResult
from gluonfr.apps.gallery.stores.milvus_server import gallery_name, is_address
from gluonfr.core.tables import write_table


def report_path(gallery: str) -> str:
    """Return the path of the report: `g.left_out.csv` beside `g.db`, or in the working folder for a gallery on a server.

    Examples
    --------
    >>> report_path("/data/g.db"), report_path("milvus://10.0.0.5/staff")
    ('/data/g.left_out.csv', 'staff.left_out.csv')
    """
    if is_address(gallery):
        return gallery_name(gallery) + ".left_out.csv"
    return os.path.splitext(os.path.expanduser(os.fspath(gallery)))[0] + ".left_out.csv"


def write_report(path: str, result: EnrollmentResult) -> None:
    """Write a CSV with file, reason and detail of the photos that were left out or are ambiguous.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "g.left_out.csv")
    ...     write_report(path, EnrollmentResult(left_out=[("Ann/1.jpg", "no face", "")]))
    ...     with open(path) as file:
    ...         print(file.read().strip())
    file,reason,detail
    Ann/1.jpg,no face,
    """
    ambiguous = [(file, "ambiguous", "enrolled; another face could be meant") for file in result.ambiguous]
    write_table(path, ["file", "reason", "detail"], [*result.left_out, *ambiguous])


def remove_report(path: str) -> None:
    """Remove the report of an earlier run, so that it is not taken for the report of this one.

    Examples
    --------
    >>> remove_report("missing.left_out.csv")
    """
    if os.path.exists(path):
        os.unlink(path)
