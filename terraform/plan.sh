#!/bin/bash
# plan.sh ENVIRONMENT ROOT: plan a root, check the plan, and say how to apply it.
# The plan is saved: what is applied is what was read. Everything it needs to know is in
# environments/ENVIRONMENT.
set -euo pipefail
cd "$(dirname "$0")"
environment=${1:-} root=${2:-}
if [ ! -d "environments/$environment" ] || [ -z "$environment" ] || [ ! -d "roots/$root" ] || [ -z "$root" ]; then
    echo "Name an environment ($(ls environments | xargs)) and a root ($(ls roots | xargs)):" >&2
    echo "    make plan ENV=dev ROOT=network" >&2
    exit 2
fi
settings=../../environments/$environment
chosen=(-var-file="$settings/common.tfvars")
[ ! -e "environments/$environment/$root.tfvars" ] || chosen+=(-var-file="$settings/$root.tfvars")
backend=()
[ "$root" = bootstrap ] || backend=(-backend-config="$settings/backend.hcl" -backend-config="key=$root.tfstate")
saved=$PWD/roots/$root/$environment.tfplan
terraform -chdir="roots/$root" init -input=false -reconfigure "${backend[@]}" >/dev/null
terraform -chdir="roots/$root" plan -input=false "${chosen[@]}" -out="$saved"
terraform -chdir="roots/$root" show -json "$saved" > "$saved.json"
waivers=()
[ ! -e "environments/$environment/waivers.yaml" ] || waivers=("$PWD/environments/$environment/waivers.yaml")
(cd .. && .venv/bin/python -m checks.plan_policy "$saved.json" "${waivers[@]}")
rm "$saved.json"
echo "Apply exactly this plan:  terraform -chdir=terraform/roots/$root apply $saved"
