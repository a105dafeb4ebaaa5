"""List the texts that users of gluonfr read: messages of errors, log lines, printed lines and help.

    python tools/list_messages.py [FOLDER_OR_FILE ...]

Each line is FILE:LINE, the kind (error, log, print or help) and the text, in which `{...}` stands for a value. Read the list
after a change of messages, to find sentences that are unclear or inconsistent.
"""

import ast
import sys
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
        if name == "add_argument":
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
            arguments = [keyword.value for keyword in call.keywords if keyword.arg == "help"]
            found = " ".join(filter(None, map(text_of, arguments)))
            yield node.lineno, kind, f"{option}: {found}"
            continue
        found = " ".join(filter(None, map(text_of, arguments)))
        if " " in found.strip():
            yield node.lineno, kind, found


def main(arguments):
    """Print the messages of all Python files in the folders."""
    for name in arguments or [str(ROOT / "gluonfr")]:
        path = Path(name).resolve()
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for line, kind, text in sorted(texts(ast.parse(file.read_text(encoding="utf-8")))):
                shown = file.relative_to(ROOT) if ROOT in file.parents else file
                print(f"{shown}:{line}: {kind}: {' '.join(text.split())}")


if __name__ == "__main__":
    main(sys.argv[1:])
