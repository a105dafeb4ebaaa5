"""`gluonfr ...`: one module a group of commands, imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys

from gluonfr import __version__
from gluonfr.core import GluonFRError, describe_os_error

# Name, module, one line of help. A module has `add_arguments(parser)` and `run(arguments) -> exit status`.
COMMANDS = (
    ("train", "train", "train a network on records and verify it"),
    ("verify", "verify", "1:1 verification of a network"),
    ("report", "report", "1:1 verification of one network or several as a page to look at"),
    ("identification", "identification", "1:N identification of probes in a gallery: ranks, and false alarms of strangers"),
    ("megaface", "megaface", "the MegaFace protocol on feature files"),
    ("ijb", "ijb", "the protocols of IJB-B and IJB-C, 1:1 and 1:N"),
    ("picture", "picture", "draw the embeddings of some people in two dimensions"),
    ("compare", "compare", "say how alike two faces are"),
    ("enroll", "enroll", "put the people of a folder of photos into a gallery"),
    ("identify", "identify", "say who is on photos or videos, by a gallery"),
    ("serve", "serve", "a gallery as a page for photos and a camera, and as a JSON API"),
    ("people", "people", "list the people of a gallery; rename, merge and remove them, write them out and take them in"),
    ("search", "search", "look for the person of one photo on others, without a gallery"),
    ("cluster", "cluster", "put unknown photos into a folder a person"),
    ("clean", "clean", "find wrong labels, people under two labels, copies of photos, and people of a test set"),
    ("embed", "embed", "embeddings of images, in a file"),
    ("export", "export", "write a network as ONNX or as MXNet's symbol and parameters, and check it"),
    ("synthesize", "synthesize", "render a synthetic training and verification set"),
    ("pack", "pack", "make a training set of a folder of photos"),
    ("models", "models", "the networks of the zoo and the stored models; store and remove models"),
    ("pairs", "pairs", "make a verification set of listed pairs of photos, or draw one from a set"),
    ("unpack", "records", "write the images of a set as files, a folder a person"),
    ("inspect", "records", "say what a training or verification set holds"),
    ("shuffle", "records", "write the records of a training set in random order"),
    ("merge", "records", "write several training sets as one"),
    ("split", "records", "write a training set as two that share no person"),
    ("fetch", "fetch", "make a .bin of a public benchmark"),
    ("doctor", "doctor", "say what is installed, which devices are there, and whether Horovod works"),
    ("demo", "demo", "synthetic faces, a trained network, its metrics and pictures, in minutes"),
)


def main(arguments=None):
    """Run a command; returns 0, 1 when something was left out, 2 for a mistake of the caller, 130 when it was interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="gluonfr", description="Face recognition with Apache MXNet/Gluon.")
    parser.add_argument("--version", action="version", version=f"gluonfr {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((each for each in arguments if not each.startswith("-")), None)
    modules = {}
    for name, module, line in COMMANDS:
        sub = commands.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".", formatter_class=_Help)
        if name == chosen:
            modules[name] = importlib.import_module(f"gluonfr.cli.{module}")
            modules[name].add_arguments(sub)
            if name == "train":
                # What was typed is what the ranks of a run are started with.
                sub.set_defaults(typed=arguments)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        return modules[options.command].run(options) or 0
    except KeyboardInterrupt:
        # What Unix gives a command that Ctrl-C ended.
        print(f"gluonfr {options.command}: interrupted; no partial files were left.", file=sys.stderr)
        return 130
    except GluonFRError as error:
        print(f"gluonfr {options.command}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"gluonfr {options.command}: {describe_os_error(error)}", file=sys.stderr)
        return 2


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        return action.help if action.default in (None, "", (), False) else super()._get_help_string(action)
