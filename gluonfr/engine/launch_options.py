from __future__ import annotations

from dataclasses import dataclass

from gluonfr.engine.option_fields import check_types, option

SYNCS = ("horovod", "ps")


@dataclass
class LaunchOptions:
    """The processes and machines of a distributed run. The help text of every field is its documentation.

    Examples
    --------
    >>> LaunchOptions(workers=4).distributed
    True
    """

    workers: int = option(1, "processes on this machine, one device each")
    hosts: str | None = option(
        None, "machines and their numbers of processes, such as a:4,b:4, reached by ssh; instead of workers"
    )
    sync: str = option("horovod", "library that exchanges the gradients", choices=SYNCS)
    max_restarts: int = option(0, "how often all processes are restarted after one failed")
    hang_timeout: float = option(300, "seconds without progress after which all processes are ended", metavar="S")

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def distributed(self) -> bool:
        """Whether a launcher has to start the processes."""
        return self.workers != 1 or bool(self.hosts)
