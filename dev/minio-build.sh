#!/usr/bin/env bash
# Builds the pinned MinIO into the cache, unless it is there (dev/minio.sh).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/dev/minio.sh"
minio_build
