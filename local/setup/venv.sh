#!/usr/bin/env bash
# venv.sh DIR REQUIREMENTS: a Python environment with exactly these packages; complete, or not there at all.
set -euo pipefail
dir=$1 requirements=$2
if cmp -s "$requirements" "$dir/installed.txt"; then exit 0; fi
echo "installing the packages of $requirements into $dir"
rm -rf "$dir"
mkdir -p "$(dirname "$dir")"
python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$requirements"
cp "$requirements" "$dir/installed.txt"
