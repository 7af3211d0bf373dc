"""What the checks share: the files of the tree and C text without comments and strings."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(*suffixes, under=""):
    """Tracked files and those about to be, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", under or "."],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    return sorted(
        p for p in set(listed)
        if p.endswith(suffixes) and os.path.isfile(os.path.join(ROOT, p))
    )


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def code(text):
    """Blanks comments and the insides of strings; line numbers stay."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group()
        return '""' if found[0] == '"' else "\n" * found.count("\n") or " "

    return token.sub(blank, text)


def report(problems):
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)
