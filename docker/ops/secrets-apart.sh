#!/usr/bin/env bash
# Makes the secrets that are missing in DIR, and gives each user of secrets a directory of its own with those that it
# needs and no other:   secrets-apart.sh DIR TO "USER SECRET..." ...
# For compose.yaml, where TO/USER is a volume; DIR is mounted here alone.
set -euo pipefail

DIR=$1
TO=$2
shift 2
"$(dirname "$0")/secrets.sh" --dir "$DIR"
for line; do
    read -r -a names <<<"$line"
    for name in "${names[@]:1}"; do
        rm -rf "${TO:?}/${names[0]}/$name"
        cp -a "$DIR/$name" "$TO/${names[0]}/$name"
    done
done
