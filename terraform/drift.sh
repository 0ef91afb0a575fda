#!/bin/bash
# drift.sh ENVIRONMENT ROOT: does AWS differ from what this commit says? It changes nothing.
# drift.sh ENVIRONMENT ROOT report: send what was found as a metric; fail where there is a difference.
# A plan that failed is not reported: the alarm vigil-drift-unknown notices (module cicd).
set -euo pipefail
# shellcheck source=terraform/common.sh
source "$(dirname "$0")/common.sh"
found=$(cd .. && pwd)/build/drift/$environment-$root
if [ "${3:-}" = report ]; then
    [ -e "$found" ] || { echo "drift: $environment $root was not planned." >&2; exit 1; }
    aws cloudwatch put-metric-data --namespace Vigil/Delivery --metric-name Drift --value "$(cat "$found")"
    [ "$(cat "$found")" = 0 ] || { echo "drift: $environment $root differs: make plan shows how." >&2; exit 1; }
    exit 0
fi
initialise
mkdir -p "$(dirname "$found")"
rm -f "$found"
status=0
terraform -chdir="roots/$root" plan -input=false -detailed-exitcode "${values[@]}" || status=$?
case $status in
    0) echo 0 >"$found" ;;
    2) echo 1 >"$found" ;;
    *) exit "$status" ;;
esac
