#!/bin/bash
# apply.sh ENVIRONMENT ROOT HASH: apply the plan with this hash, which a person has read and approved.
# Another file is refused here, and a plan of a state that changed since is refused by Terraform.
set -euo pipefail
# shellcheck source=terraform/common.sh
source "$(dirname "$0")/common.sh"
hash=${3:-}
if ! [[ $hash =~ ^[0-9a-f]{64}$ ]]; then
    echo "apply: name the plan by its hash, as make plan KEEP=yes printed it: PLAN=…" >&2
    exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
aws s3 cp --no-progress "$(kept "$hash")" "$folder/plan"
if [ "$(sha256sum "$folder/plan" | cut -d' ' -f1)" != "$hash" ]; then
    echo "apply: the plan in the bucket is not the one that was approved. Plan again." >&2
    exit 1
fi
initialise
check_policy "$folder/plan"
terraform -chdir="roots/$root" apply -input=false "$folder/plan"
