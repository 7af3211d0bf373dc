#!/usr/bin/python3 -B
"""Functions that nobody calls: unbounded, unchecked, not thread safe, or blocking in the event loop."""
import re

from source import code, files, read, report

EVERYWHERE = (
    "strcpy strcat sprintf vsprintf gets strtok atoi atol atoll system popen alloca gmtime localtime ctime "
    "asctime rand srand tmpnam mktemp tempnam"
).split()
# ngx_media_module runs in nginx's event loop; its one thread (ngx_media_amqp*) may block
LOOP = (
    "getaddrinfo gethostbyname sleep usleep nanosleep fopen PQexec PQexecParams PQconnectdb PQcancel PQreset "
    "PQgetResultSync curl_easy_perform curl_easy_init"
).split()


def calls(text, names):
    for match in re.finditer(r"(?<![\w.>])(%s)\s*\(" % "|".join(names), text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1)


def main():
    problems = []
    for path in files(".c", ".h", ".cc"):
        names = list(EVERYWHERE)
        if path.startswith("ngx_media_module/") and "/amqp/" not in path:
            names += LOOP
        for line, name in calls(code(read(path)), names):
            problems.append(f"{path}:{line}: {name}() is banned")
    report(problems)


main()
