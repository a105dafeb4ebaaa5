class GluonFRError(ValueError):
    """A bad file, name or argument: one sentence that names it, says what is wrong and what to do.

    Commands print the sentence and exit with 2.
    """


def file_sentence(error):
    """What a command prints of an OSError: a full disk, a file that vanished."""
    where = f"{error.filename}: " if error.filename else ""
    # What was being written is not there, thanks to temporary files.
    return f"{where}{error.strerror or error}; nothing was half-written."
