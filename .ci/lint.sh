#!/usr/bin/env bash
# make lint: every check, each with one line; fails if any does.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
check() { # NAME COMMAND...
    local name=$1 out rc=0
    shift
    out=$("$@" 2>&1) || rc=1
    if [ "$rc" -eq 0 ]; then
        printf 'ok    %s\n' "$name"
    else
        printf 'FAIL  %s\n%s\n' "$name" "$out"
        failed=1
    fi
}

# tracked files and those about to be
files() {
    local path
    git ls-files -co --exclude-standard -- "$@" | while read -r path; do
        if [ -f "$path" ]; then
            printf '%s\n' "$path"
        fi
    done
}

format() {
    local list out
    mapfile -t list < <(files 'libmedia/*.[ch]' 'workers/*.[ch]' 'workers/*.cc' 'gateway/*.[ch]')
    out=$(clang-format --dry-run -Werror "${list[@]}" 2>&1) && return 0
    # one line per file is enough: clang-format -i tells the rest
    sed -n 's/^\([^:]*\):.*error: code should be.*/clang-format -i \1/p; /^[^:]*:[0-9:]* error: [^c]/p' <<<"$out" | sort -u
    return 1
}

shell() {
    local list
    mapfile -t list < <(files '*.sh' .ci/run)
    shellcheck "${list[@]}"
}

python_syntax() {
    local list
    mapfile -t list < <(files '*.py')
    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -c '
import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path).read(), path)' "${list[@]}"
}

check "clang-format (libmedia, workers, gateway)" format
check "banned functions" .ci/check_banned.py
check "who includes whom" .ci/check_includes.py
check "sizes and white space" .ci/check_sizes.py
check "shellcheck" shell
check "python syntax" python_syntax
check "alerts: rules, their tests, their sections" .ci/monitoring.sh
check "cppcheck" .ci/cppcheck.sh
check "kubernetes: overlays and policies" .ci/k8s.sh
exit "$failed"
