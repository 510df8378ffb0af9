#!/usr/bin/env bash
# image-root.sh TAG DIR: an image of buildah's as a folder, DIR/root, and its configuration, DIR/config.json.
set -euo pipefail
tag=$1 dir=$2
id=$(buildah inspect --type image --format '{{.FromImageID}}' "$tag")
[ "$(cat "$dir/made-from" 2>/dev/null)" != "$id" ] || exit 0
rm -rf "$dir" && mkdir -p "$dir"
container=$(buildah from "$tag")
trap 'buildah rm "$container" >/dev/null' EXIT
cp -a "$(buildah mount "$container")" "$dir/root"
buildah inspect --type image --format '{{.Config}}' "$tag" >"$dir/config.json"
echo "$tag" >"$dir/tag"
echo "$id" >"$dir/made-from"
