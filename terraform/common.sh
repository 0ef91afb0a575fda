# shellcheck shell=bash
# Sourced by plan.sh, apply.sh and drift.sh, with ENVIRONMENT and ROOT: names what both mean.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
environment=${1:-} root=${2:-}
if [ ! -d "environments/$environment" ] || [ -z "$environment" ] || [ ! -d "roots/$root" ] || [ -z "$root" ]; then
    echo "Name an environment ($(echo environments/* | sed "s#environments/##g")) and a root ($(echo roots/* | sed "s#roots/##g")):" >&2
    echo "    make $(basename "$0" .sh) ENV=dev ROOT=network" >&2
    exit 2
fi
settings=../../environments/$environment
values=(-var-file="$settings/common.tfvars")
[ ! -e "environments/$environment/$root.tfvars" ] || values+=(-var-file="$settings/$root.tfvars")
bucket=$(sed -n 's/^bucket *= *"\(.*\)"/\1/p' "environments/$environment/backend.hcl")

initialise() {
    local backend=()
    [ "$root" = bootstrap ] || backend=(-backend-config="$settings/backend.hcl" -backend-config="key=$root.tfstate")
    terraform -chdir="roots/$root" init -input=false -lockfile=readonly -reconfigure "${backend[@]}" >/dev/null
}

# Refuse a plan that would delete footage, open a bucket or join sites (checks/plan_policy.py).
check_policy() {
    local waivers=()
    [ ! -e "environments/$environment/waivers.yaml" ] || waivers=("$PWD/environments/$environment/waivers.yaml")
    terraform -chdir="roots/$root" show -json "$1" >"$1.json"
    (cd .. && "${PYTHON3:-.venv/bin/python}" -m checks.plan_policy "$1.json" "${waivers[@]}") ||
        { rm "$1.json"; exit 1; }
    rm "$1.json"
}

# Where a plan waits for its approval. The bucket of states is encrypted and keeps each version.
kept() {
    echo "s3://$bucket/plans/$environment/$root/$1.tfplan"
}
