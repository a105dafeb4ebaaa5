"""Every option of every command: it parses, has a place of its own, and its command reads it."""

import argparse
import ast
import functools
import importlib
import inspect

import pytest

import gluonfr.cli.arguments
import gluonfr.cli.evaluate.pair_arguments
import gluonfr.cli.training
from gluonfr.cli import _parser
from gluonfr.cli.commands import COMMANDS

# Values of options, by the type that reads them.
VALUES = {int: "3", float: "0.5", None: "text"}
SPECIAL = {
    "--image-size": "112,96",
    "--gpus": "0,1",
    "--network-args": "units=3",
    "--loss-args": "s=30",
    "--augment-args": "gray=1",
    "--sample-rate": "0.5",
}


@functools.lru_cache(maxsize=None)
def parser_of(command):
    return _parser([command])[1]


def shown_options(command):
    actions = parser_of(command)._actions
    return [action for action in actions if action.option_strings and action.help != argparse.SUPPRESS and action.nargs != "?"]


def words_of(action):
    """The option with values that it accepts."""
    name = max(action.option_strings, key=len)
    if action.nargs == 0:
        return [name]
    value = SPECIAL.get(name) or (list(action.choices)[-1] if action.choices else VALUES.get(action.type, "2,3"))
    return [name, *[str(value)] * (action.nargs if isinstance(action.nargs, int) else 1)]


def needed_words(parser, without):
    """Words for the arguments and options that a command requires."""
    words, exclusive = [], [group for group in parser._mutually_exclusive_groups if group.required]
    for action in parser._actions:
        if not action.option_strings:
            words += ["text"] * (2 if action.nargs == "+" else 0 if action.nargs in ("?", "*") else 1)
        elif action.required and action is not without:
            words += words_of(action)
    for group in exclusive:
        if without not in group._group_actions:
            words += words_of(group._group_actions[0])
    return words


@pytest.mark.parametrize("command", COMMANDS)
def test_options_share_no_place(command):
    places = {}
    for action in parser_of(command)._actions:
        if action.help != argparse.SUPPRESS:
            places.setdefault(action.dest, []).append(action)
    assert {place: actions for place, actions in places.items() if len(actions) > 1} == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_parsed_into_its_place(command):
    parser = parser_of(command)
    one_of = [action for group in parser._mutually_exclusive_groups if group.required for action in group._group_actions]
    for action in shown_options(command):
        if action.dest in ("help", "version"):
            continue
        required = needed_words(parser, action)
        after = parser.parse_args([*required, *words_of(action)])
        if action.required or action in one_of:
            assert getattr(after, action.dest) is not None
            continue
        before = parser.parse_args(required)
        changed = {name for name in vars(after) if getattr(after, name) != getattr(before, name, None)}
        # `train` also remembers which options were given.
        assert changed - {"given"} <= {action.dest}, action.option_strings
        assert action.dest in changed or getattr(after, action.dest) is not None


def names_read(module):
    """Attributes of `arguments` that a module reads; None where it passes all of them on."""
    tree, found = ast.parse(inspect.getsource(module)), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "arguments":
            found.add(node.attr)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("vars", "getattr"):
            found.add(None)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_command_reads_all_its_options(command):
    module = importlib.import_module(f"gluonfr.cli.{COMMANDS[command].module}")
    own = names_read(module)
    if hasattr(module, "run_training"):
        # Its options are the fields of dataclasses.
        own |= names_read(gluonfr.cli.training)
    read = own | names_read(gluonfr.cli.arguments) | names_read(gluonfr.cli.evaluate.pair_arguments)
    unread = {action.dest for action in shown_options(command)} - read - {"help", "quiet", "verbose"}
    assert None in own or not unread


def test_an_option_is_a_flag_in_all_commands_or_has_a_value_in_all():
    kinds = {}
    for command in COMMANDS:
        for action in shown_options(command):
            for name in action.option_strings:
                kinds.setdefault(name, {}).setdefault(action.nargs == 0, []).append(command)
    assert {name: uses for name, uses in kinds.items() if len(uses) > 1} == {}
