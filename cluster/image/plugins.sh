#!/usr/bin/env bash
# plugins.sh DIR [SOURCE#SHA256 ...]: each plugin into DIR, from a URL or by its Maven coordinates, if it has that checksum.
set -euo pipefail
umask 022
dir=$1
rm -rf "$dir"
mkdir -p "$dir"
refuse() {
    rm -rf "$dir"
    echo "PLUGINS: $1; no image is built" >&2
    exit 1
}
for plugin in "${@:2}"; do
    [[ $plugin =~ ^(.+)#([0-9a-f]{64})$ ]] || refuse "$plugin must be a URL or Maven coordinates, #, and a SHA-256"
    source=${BASH_REMATCH[1]} sum=${BASH_REMATCH[2]} fetched=$(mktemp -d)
    if [[ $source == *://* ]]; then
        file=$(basename "${source%%\?*}")
        curl -fsSL --max-time 600 -o "$fetched/$file" "$source" || refuse "${source%%\?*} cannot be fetched"
    else
        mvn -q -B -Dstyle.color=never dependency:copy "-Dartifact=$source" "-DoutputDirectory=$fetched" >&2 ||
            refuse "Maven cannot fetch $source"
    fi
    sha256sum --check --status <<<"$sum  $(echo "$fetched"/*)" || refuse "${source%%\?*} does not have the SHA-256 $sum"
    mv "$fetched"/* "$dir"
done
