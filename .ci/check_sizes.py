#!/usr/bin/python3 -B
"""File, function and line lengths, trailing white space, tabs, and marks of unfinished work."""
import re

from source import code, files, read, report

FILE_LINES = 600
# nginx's layout spends lines on declarations and wrapped arguments
FUNCTION_LINES = [(r"ngx_media_module/", 80), (r".*", 60)]
TEXT = (".c", ".h", ".cc", ".sh", ".py", ".pl", ".t", ".sql", ".cmake", ".in", ".conf", ".txt")
COLUMNS = [
    (r"ngx_media_module/.*\.[ch]$", 80),
    (r"(libmedia|workers|gateway)/.*\.[ch]$", 100),
    (r".*\.sql$", 160),
    (r".*\.t$", 1000),  # tokens and expected answers
    (r".*", 125),
]
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def limit(table, path):
    return next(value for pattern, value in table if re.match(pattern, path))


def functions(text):
    """Bodies, told by the house style: the braces of a function stand in column 0, in a class of C++ in column 4."""
    start, indent, before = None, "", ""
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"(class|struct|namespace)\b", before) and line.startswith("{"):
            indent = "" if before.startswith("namespace") else "    "
        elif line.startswith(indent + "{"):
            start = number
        elif line.startswith(indent + "}") and start is not None:
            yield start, number - start - 1
            start = None
        elif line.startswith("}"):
            indent = ""
        before = line


def check(path):
    text = read(path)
    lines = text.splitlines()
    if len(lines) > FILE_LINES:
        yield f"{path}: {len(lines)} lines, more than {FILE_LINES}"
    if text and not text.endswith("\n"):
        yield f"{path}: no newline at its end"
    for number, line in enumerate(lines, 1):
        if len(line) > limit(COLUMNS, path):
            yield f"{path}:{number}: {len(line)} columns, more than {limit(COLUMNS, path)}"
        if line != line.rstrip():
            yield f"{path}:{number}: trailing white space"
        if "\t" in line and not path.endswith((".t", ".pl")):
            yield f"{path}:{number}: tab"
        if UNFINISHED.search(line):
            yield f"{path}:{number}: unfinished"
    if path.endswith((".c", ".cc")):
        for number, length in functions(code(text)):
            if length > limit(FUNCTION_LINES, path):
                yield f"{path}:{number}: function of {length} lines, more than {limit(FUNCTION_LINES, path)}"


def main():
    report([p for path in files(*TEXT) if "/vectors/" not in path for p in check(path)])


main()
