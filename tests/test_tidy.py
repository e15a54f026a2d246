"""Style as a test: limits on length, banned calls with their reasons, and nothing of anyone's machine in the tree.

Every rule is a small function from a source text to its complaints, so that each one is also shown a bad sample
here and seen to object. Who may import whom is not checked here but by import-linter (pyproject.toml).
"""

import ast
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("protocol", "server", "terminal_emulator", "tools")

MODULE_LINES_MAX = 500  # what one can read in one sitting; beyond it a module has two subjects
FUNCTION_LINES_MAX = 70  # one screen, its docstring not counted

# ------------------------------------------------------------------------------------------- banned calls

CLOCK = "the time is an argument, so that a test or the simulation can choose it"
RANDOMNESS = "randomness is an argument, so that one seed repeats a whole run"
QUIET = "what this code has to say it returns; the shell around it decides what is shown"
WORLD = "files and input belong to the shell around it"

# A name that ends in a dot stands for everything below it. A mere mention counts, not only a call:
# `clock=time.monotonic` as a default argument is the usual way for a clock to slip in. Built-in functions
# (names without a dot) count when they are called: `open` and `input` are also good names for other things.
IMPURE = {
    "time.": CLOCK,
    "trio.sleep": CLOCK,
    "trio.current_time": CLOCK,
    "datetime.datetime.now": CLOCK,
    "datetime.datetime.utcnow": CLOCK,
    "datetime.datetime.today": CLOCK,
    "datetime.date.today": CLOCK,
    "random.": RANDOMNESS,
    "secrets.": RANDOMNESS,
    "os.urandom": RANDOMNESS,
    "uuid.uuid1": RANDOMNESS,
    "uuid.uuid4": RANDOMNESS,
    "print": QUIET,
    "logging.": QUIET,
    "open": WORLD,
    "input": WORLD,
}


@dataclass(frozen=True)
class Ban:
    """Names that must not be mentioned in any file below one of the given folders (or file name stems)."""

    places: tuple[str, ...]
    names: dict[str, str]

    def covers(self, path: str) -> bool:
        return any(path.startswith(place) for place in self.places)


BANS = (
    Ban(("protocol/", "server/ledger/", "terminal_emulator/brain", "terminal_emulator/flows/"), IMPURE),
    Ban(("tests/",), {"time.sleep": "wait for the event itself, or use the virtual clock: a test never really sleeps"}),
)


def imported_names(tree: ast.AST) -> dict[str, str]:
    """What each imported name of a module stands for, written with dots from the top."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted_name(node: ast.expr, imported: dict[str, str]) -> str:
    """The full name an expression spells; empty unless it starts with something imported."""
    if isinstance(node, ast.Name):
        return imported.get(node.id, "")
    if isinstance(node, ast.Attribute) and (front := dotted_name(node.value, imported)):
        return f"{front}.{node.attr}"
    return ""


def banned_names(path: str, text: str) -> Iterator[str]:
    bans = {name: reason for ban in BANS if ban.covers(path) for name, reason in ban.names.items()}
    if not bans:
        return
    tree = ast.parse(text)
    imported = imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            spelled = dotted_name(node, imported)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            spelled = node.func.id if node.func.id not in imported else ""
        else:
            continue
        for name, reason in bans.items():
            if spelled == name or (name.endswith(".") and spelled.startswith(name)):
                yield f"{path}:{node.lineno}: {spelled} is not used here: {reason}"


# ------------------------------------------------------------------------------------- length and docstring


def long_modules(path: str, text: str) -> Iterator[str]:
    lines = len(text.splitlines())
    if lines > MODULE_LINES_MAX:
        yield f"{path}: {lines} lines; {MODULE_LINES_MAX} is the limit: give one of its subjects a module of its own"


def long_functions(path: str, text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{path}:{node.lineno}: {node.name} has {lines} lines; {FUNCTION_LINES_MAX} is the limit"


def missing_docstring(path: str, text: str) -> Iterator[str]:
    if not ast.get_docstring(ast.parse(text)):
        yield f"{path}: say in a docstring what this module is for"


# ------------------------------------------------------------------------- nothing of anyone's machine inside

# The patterns are written so that none of them matches itself: this file is read by the rule as well.
FOREIGN = {
    re.compile(r"pypi\.org|pythonhosted\.org|/simple/?$", re.MULTILINE): "the address of a registry",
    re.compile(r"mirrors?\.\w+\.(?:com|cn|edu|org)|pypi\.tuna\.|npmjs\.(?:com|org)"): "the address of a registry",
    re.compile(r"--(?:extra-index|index|trusted)-(?:url|host)|--find-(?:links)"): "an option that names a registry",
    re.compile(r"(?<![\w.}])/(?:root|work|home/\w+|Users/\w+)/|[A-Z]:\\Users\\"): "a path of one machine",
    re.compile(r"file:/{2}"): "a path of one machine",
}
# Both formats write down where each file was downloaded from; the locks in requirements/ do not.
LOCKS_WITH_ADDRESSES = {"uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock", "pdm.lock"}


def foreign_text(path: str, text: str) -> Iterator[str]:
    for pattern, what in FOREIGN.items():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: {match.group()!r} is {what}; nothing here may depend on where it was made"


def foreign_locks(path: str) -> Iterator[str]:
    if Path(path).name in LOCKS_WITH_ADDRESSES:
        yield f"{path}: this lock format records registry addresses; `make lock` writes ours"


# ---------------------------------------------------------------------------------------------- the tree


def files_of_the_repository() -> list[str]:
    """What is committed or about to be. Without git (an unpacked archive), everything outside hidden folders."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
        listed = [path for path in listed if not re.search(r"(^|/)(\.(?!ci/)|__pycache__)", path)]
    return sorted(path for path in set(listed) if path and (ROOT / path).is_file())


FILES = files_of_the_repository()
SOURCES = [path for path in FILES if path.endswith(".py") and path.startswith(tuple(f"{p}/" for p in PACKAGES))]
TESTS = [path for path in FILES if path.endswith(".py") and path.startswith("tests/")]


def read(path: str) -> str:
    """A file as text; bytes that are not text read as replacement characters and match nothing."""
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("rule", [long_modules, long_functions, missing_docstring, banned_names])
def test_source_is_tidy(rule):
    assert SOURCES
    assert [complaint for path in SOURCES for complaint in rule(path, read(path))] == []


def test_tests_are_tidy():
    assert [complaint for path in TESTS for complaint in banned_names(path, read(path))] == []


def test_nothing_here_depends_on_where_it_was_made():
    assert [complaint for path in FILES for complaint in (*foreign_text(path, read(path)), *foreign_locks(path))] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_mirrored_test_folders_do_not_hide_the_packages(package):
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")
    # With this file in place, every test module is called tests.<folder>.<name>, whatever its folder is called.
    assert (ROOT / "tests" / "__init__.py").exists()
    assert __name__ == "tests.test_tidy"


# ------------------------------------------------------------------------- the rules, seen to object


def test_a_long_module_is_noticed():
    assert list(long_modules("protocol/a.py", "x = 1\n" * MODULE_LINES_MAX)) == []
    assert len(list(long_modules("protocol/a.py", "x = 1\n" * (MODULE_LINES_MAX + 1)))) == 1


@pytest.mark.parametrize("head", ["def f():\n", "async def f():\n", "class C:\n  def f():\n"])
def test_a_long_function_is_noticed(head):
    fits = head + '    """Two lines\n    of docstring."""\n' + "    x = 1\n" * (FUNCTION_LINES_MAX - 1)
    assert list(long_functions("protocol/a.py", fits)) == []
    [complaint] = long_functions("protocol/a.py", fits + "    x = 1\n")
    assert f"f has {FUNCTION_LINES_MAX + 1} lines" in complaint


def test_a_missing_docstring_is_noticed():
    assert list(missing_docstring("tools/a.py", '"""What it is for."""\n')) == []
    assert list(missing_docstring("tools/a.py", '""""""\n'))
    assert list(missing_docstring("tools/a.py", "x = 1\n"))


BAD_SAMPLES = [
    ("protocol/a.py", "import time\ntime.time()", "time.time"),
    ("protocol/a.py", "import time\ndef f(clock=time.monotonic): pass", "time.monotonic"),
    ("protocol/deep/a.py", "from time import sleep as nap\nnap(1)", "time.sleep"),
    ("server/ledger/a.py", "import random as r\nr.choice('ab')", "random.choice"),
    ("server/ledger/rules/a.py", "from random import Random\nRandom()", "random.Random"),
    ("server/ledger/a.py", "import os\nos.urandom(4)", "os.urandom"),
    ("server/ledger/a.py", "from uuid import uuid4\nuuid4()", "uuid.uuid4"),
    ("server/ledger/a.py", "import secrets\nsecrets.token_bytes()", "secrets.token_bytes"),
    ("server/ledger/a.py", "from datetime import datetime, UTC\ndatetime.now(UTC)", "datetime.datetime.now"),
    ("terminal_emulator/brain.py", "print('x')", "print"),
    ("terminal_emulator/brain/keys.py", "import datetime as d\nd.date.today()", "datetime.date.today"),
    ("terminal_emulator/flows/transaction.py", "import trio\nasync def f(): await trio.sleep(1)", "trio.sleep"),
    ("tests/a.py", "import time\ntime.sleep(1)", "time.sleep"),
]


@pytest.mark.parametrize(("path", "text", "name"), BAD_SAMPLES)
def test_a_banned_name_is_noticed(path, text, name):
    assert any(f": {name} is not used here" in complaint for complaint in banned_names(path, text))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("server/app.py", "import time\ntime.monotonic()"),
        ("terminal_emulator/screen.py", "print('x')"),
        ("protocol/a.py", "import datetime\nx = datetime.timedelta(days=1)"),
        ("protocol/a.py", "def f(time, open): return time.hour, self.print(), frame.open, open"),
        ("protocol/a.py", "'time.time() in a text'  # and time.time() in a comment"),
    ],
)
def test_what_is_allowed_is_let_through(path, text):
    assert list(banned_names(path, text)) == []


SLASH = "/"  # the samples are put together from pieces for the same reason


@pytest.mark.parametrize(
    "text",
    [
        "https://py" + "pi.org/project/x",
        "https://files.python" + "hosted.org/packages/x",
        "url = https://registry.example/" + "simple\n",
        "--extra-" + "index-url https://packages.example",
        "--find-" + "links wheels",
        SLASH + "root/x",
        "see " + SLASH + "home/ann/fanka",
        '"' + SLASH + "Users/ann/fanka",
        "C:" + "\\Users\\ann",
        "file:" + "//somewhere",
    ],
)
def test_foreign_text_is_noticed(text):
    assert list(foreign_text("README.md", text))


@pytest.mark.parametrize("text", ["https://www.apache.org/licenses/", "$HOME/.venv", "a simple line", "GET /home"])
def test_ordinary_text_is_let_through(text):
    assert list(foreign_text("README.md", text)) == []


def test_a_lock_with_addresses_is_noticed():
    assert list(foreign_locks("uv" + ".lock"))
    assert list(foreign_locks("requirements/dev.txt")) == []
