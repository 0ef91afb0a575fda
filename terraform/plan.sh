#!/bin/bash
# plan.sh ENVIRONMENT ROOT: plan a root, check the plan, and say how to apply it.
# The plan is saved: what is applied is what was read. Everything it needs to know is in
# environments/ENVIRONMENT. With KEEP=yes the plan is put into the bucket of states, by its hash: the
# pipeline applies it after a person's approval.
set -euo pipefail
# shellcheck source=terraform/common.sh
source "$(dirname "$0")/common.sh"
initialise
saved=$PWD/roots/$root/$environment.tfplan
terraform -chdir="roots/$root" plan -input=false "${values[@]}" -out="$saved"
check_policy "$saved"
if [ "${KEEP:-}" = yes ]; then
    hash=$(sha256sum "$saved" | cut -d' ' -f1)
    aws s3 cp --no-progress "$saved" "$(kept "$hash")"
    rm "$saved"
    [ -z "${GITHUB_OUTPUT:-}" ] || echo "hash=$hash" >>"$GITHUB_OUTPUT"
    echo "Apply exactly this plan:  make apply ENV=$environment ROOT=$root PLAN=$hash"
else
    echo "Apply exactly this plan:  terraform -chdir=terraform/roots/$root apply $saved"
fi
