"""A process that has imported everything, and forks for every command: it starts in milliseconds and can be killed.

It reads a line of JSON per command: `arguments`, `log` (file for the output), `root` (folder that is watched), and `event`: the
command kills itself when it has changed files below `root` so often, and `environment`: variables of the command and of the
processes that it starts. It answers with the process id, and then with the wait
status and the number of changes.
"""

import json
import mmap
import os
import signal
import sys
import traceback

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def watch(root, event, counter):
    """Count changes below a folder, and end this process without notice at one of them."""
    pid = os.getpid()

    def hook(name, arguments):
        if name == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & _WRITING:
                return
        elif name in _CHANGES:
            path = arguments[0]
        else:
            return
        if isinstance(path, (str, bytes)) and os.fsdecode(path).startswith(root) and os.getpid() == pid:
            number = int.from_bytes(counter[:8], "little") + 1
            counter[:8] = number.to_bytes(8, "little")
            if number == event:
                os.kill(pid, signal.SIGKILL)

    sys.addaudithook(hook)


def run(job, counter):
    """Run the command in this process, which then ends."""
    os.setsid()
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.environ.update(job["environment"])
    status = 70
    try:
        from gluonfr.cli import main

        watch(job["root"], job["event"], counter)
        status = main(job["arguments"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def serve():
    import gluonfr.apps.curation.cleaning.clean
    import gluonfr.apps.curation.clustering.sorted_folder
    import gluonfr.apps.gallery.import_export
    import gluonfr.deploy.export
    import gluonfr.engine
    import gluonfr.evaluation.report.write
    import gluonfr.photos.packing.pack  # noqa: F401

    counter = mmap.mmap(-1, 8)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        counter[:8] = bytes(8)
        child = os.fork()
        if not child:
            run(job, counter)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(status, int.from_bytes(counter[:8], "little"), flush=True)


if __name__ == "__main__":
    serve()
