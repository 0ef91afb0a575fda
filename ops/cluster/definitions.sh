#!/bin/bash
# Collect the custom resource definitions of definitions.txt out of their projects' Go modules, once for
# this machine. Prints the folder that holds them.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
list=$here/definitions.txt
folder=${XDG_CACHE_HOME:-$HOME/.cache}/vigil/tools/definitions-$(sha256sum "$list" | cut -c 1-12)
export GOTOOLCHAIN=local

if [ ! -d "$folder" ]; then
    rm -rf "$folder.new"
    mkdir -p "$folder.new"
    # Outside of any module: the versions are those of the list.
    cd "$folder.new"
    grep -v '^#' "$list" | while read -r module version file; do
        source=$(go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
        cp "$source/$file" .
        chmod u+w "$(basename "$file")"
    done
    mv "$folder.new" "$folder"
fi
echo "$folder"
