#!/usr/bin/env bash
# plugins.sh DIR [SOURCE#SHA256 ...]: each plugin into DIR, from a URL or by its Maven coordinates, if it has that checksum.
set -euo pipefail
dir=$1 && shift && rm -rf "$dir" && mkdir -p "$dir"
for plugin; do
    source=${plugin%#*} sum=${plugin##*#} file=$dir/$(basename "${plugin%#*}")
    if [[ $source == *://* ]]; then curl -fsSL --max-time 600 -o "$file" "$source"; else
        file=$dir/$(cut -d: -f2,3 <<<"$source" | tr : -).jar && mvn -q -B -Dstyle.color=never dependency:copy "-Dartifact=$source" "-DoutputDirectory=$dir"; fi
    sha256sum --check --status <<<"$sum  $file" || { rm "$file" && echo "PLUGINS: $source does not have the SHA-256 $sum; no image is built" >&2 && exit 1; }
done
