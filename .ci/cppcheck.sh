#!/usr/bin/env bash
# cppcheck over libmedia, the workers and media-gateway (it does not know nginx's types well enough for the module).
set -euo pipefail
cd "$(dirname "$0")/.."
exec cppcheck --quiet --std=c11 --language=c -j"$(nproc)" --error-exitcode=1 --inline-suppr \
    --enable=warning,performance,portability --suppress=missingIncludeSystem \
    --suppress=unknownMacro --suppress=varFuncNullUB \
    -I libmedia/include -I workers/common -I gateway -i workers/test -i gateway/test \
    -i workers/detector/cv_shim.cc libmedia/src workers gateway
