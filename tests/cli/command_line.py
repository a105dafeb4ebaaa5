"""Runs commands in this process, which saves the start of another one."""

import contextlib
import io

import pytest

from gluonfr.cli import main


def run(*words):
    """Return (exit status, stdout, stderr) of a command."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as errors:
        status = main([str(word) for word in words])
    return status, out.getvalue(), errors.getvalue()


def succeeds(*words):
    """Return what a command prints; it must succeed."""
    status, printed, errors = run(*words)
    assert status == 0, errors
    return printed


def refused(*words):
    """Return the one sentence of a command that must be refused."""
    status, _, errors = run(*words)
    assert status == 2, errors
    message = errors.strip().splitlines()[-1]
    assert message.startswith(f"gluonfr {words[0]}: ")
    return message


def usage_error(*words):
    """Return the message of the parser, which must reject a command."""
    with contextlib.redirect_stderr(io.StringIO()) as errors, pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    assert stopped.value.code == 2
    return errors.getvalue()
