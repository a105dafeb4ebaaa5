"""List the texts that users of gluonfr read: messages of errors, log lines, printed lines, help and the texts of web pages.

    python tools/list_messages.py [FOLDER_OR_FILE ...]

Each line is FILE:LINE, the kind (error, log, print, help or page) and the text, with `{...}` in place of values. Read the
list after a change of messages, to find sentences that are unclear or inconsistent.
"""

import ast
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGGING = {"debug", "info", "warning", "error", "exception", "critical"}


def kind_of(node):
    """Return the kind of text that a call or a raise contains, or None."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return "error"
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name == "print":
            return "print"
        if name in ("add_argument", "option"):
            return "help"
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if name in LOGGING and isinstance(owner, ast.Name) and "log" in owner.id or name == "warn":
            return "log"
    return None


def text_of(node):
    """Return the text of an expression with `{...}` for values; empty for an expression without text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "{...}" for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + (text_of(node.right) if isinstance(node.op, ast.Add) else "")
    if isinstance(node, ast.IfExp):
        return f"{text_of(node.body)} | {text_of(node.orelse)}".strip(" |")
    return ""


def texts(tree):
    """Yield (line, kind, text) for every message of a module."""
    for node in ast.walk(tree):
        kind = kind_of(node)
        if kind is None:
            continue
        call = node.exc if isinstance(node, ast.Raise) else node
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        if kind == "help":
            option = text_of(call.args[0]) if call.args else ""
            arguments = [keyword.value for keyword in call.keywords if keyword.arg == "help"] or call.args[1:2]
            found = " ".join(filter(None, map(text_of, arguments)))
            yield node.lineno, kind, f"{option}: {found}"
            continue
        found = " ".join(filter(None, map(text_of, arguments)))
        if " " in found.strip():
            yield node.lineno, kind, found


class PageTexts(HTMLParser):
    """Collects (line, 'page', text) for every text of an HTML page, and for the texts of attributes that users read."""

    def __init__(self, source):
        super().__init__()
        self.found = []
        self.feed(re.sub(r"{%.*?%}", "", source, flags=re.S))

    def handle_data(self, data):
        if " " in data.strip():
            self.found.append((self.getpos()[0], "page", data))

    def handle_starttag(self, tag, attrs):
        self.found += [(self.getpos()[0], "page", value) for name, value in attrs if name in ("alt", "title", "aria-label")]


def script_texts(source):
    """Yield (line, 'page', text) for every string of JavaScript that contains a space."""
    for number, line in enumerate(source.splitlines(), 1):
        for _, text in re.findall(r"""(["`])((?:(?!\1).)* (?:(?!\1).)*)\1""", line):
            yield number, "page", re.sub(r"\$\{.*?\}", "{...}", text)


def texts_of_file(file):
    """Return (line, kind, text) for every text of a Python, HTML or JavaScript file."""
    source = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        return texts(ast.parse(source))
    return PageTexts(source).found if file.suffix == ".html" else script_texts(source)


def main(arguments):
    """Print the texts of all Python, HTML and JavaScript files in the folders."""
    for name in arguments or [str(ROOT / "gluonfr")]:
        path = Path(name).resolve()
        for file in [path] if path.is_file() else sorted(path.rglob("*.*")):
            if file.suffix not in (".py", ".html", ".js"):
                continue
            for line, kind, text in sorted(texts_of_file(file)):
                shown = file.relative_to(ROOT) if ROOT in file.parents else file
                print(f"{shown}:{line}: {kind}: {' '.join(text.split())}")


if __name__ == "__main__":
    main(sys.argv[1:])
