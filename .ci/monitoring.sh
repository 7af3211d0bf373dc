#!/usr/bin/env bash
# Alerts: promtool's checks and the rules' own tests; then .ci/check_alerts.py.
set -euo pipefail
cd "$(dirname "$0")/.."
promtool=$(dev/promtool.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# the spec of a PrometheusRule is a rule file
for file in k8s/components/monitoring/rules/*.yaml; do
    sed -e '1,/^spec:/d' -e 's/^  //' "$file" >"$work/$(basename "$file")"
done
cp k8s/components/monitoring/test/alerts.yaml "$work"
cd "$work"
"$promtool" check rules media.yaml stores.yaml
"$promtool" test rules alerts.yaml
cd "$OLDPWD"
.ci/check_alerts.py
