class GluonFRError(ValueError):
    """A bad file, name or argument: one sentence that names it, says what is wrong and what to do.

    Commands print the sentence and exit with 2.
    """
