#!/usr/bin/env bash
# Renders every overlay and checks it: Kubernetes' schemas, our policies, and that these can fail.
#   .ci/k8s.sh [DIR]    keeps the rendered overlays in DIR
set -euo pipefail
. "$(dirname "$0")/../dev/lib.sh"
. "$ROOT/dev/gotool.sh"
. "$ROOT/dev/pytool.sh"

gotool_build kustomize
pytool_install kubernetes-validate
PYTHONPATH=$(pytool_home kubernetes-validate)
export PYTHONPATH
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
out=${1-$work/rendered}
mkdir -p "$out"
"$ROOT/docker/ops/secrets.sh" --dir "$work/secrets" >/dev/null
failed=0
while read -r file; do
    name=$(dirname "$file")
    "$(gotool_bin kustomize)" build "$ROOT/k8s/$name" >"$out/${name//\//-}.yaml" || failed=1
done < <(cd "$ROOT/k8s" && grep -lx 'kind: Kustomization' {overlays,components,test}/*/kustomization.yaml 2>/dev/null)
"$ROOT/.ci/check_k8s.py" "$out" "$work/secrets" || failed=1
"$ROOT/.ci/test_check_k8s.py" || failed=1
exit "$failed"
