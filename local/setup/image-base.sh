#!/usr/bin/env bash
# image-base.sh DIR HOME: what the Dockerfile takes from registries, made where no registry is: localhost/java, Debian with a Java 17
# runtime, and localhost/neo4j, Neo4j's home from Maven. Needs root, on Debian.
set -euo pipefail
dir=$1 home=$2
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
made_from=$(cat "$0" "$home/made-from" | cksum)
if [ "$(cat "$dir/made-from" 2>/dev/null)" = "$made_from" ] && buildah inspect --type image localhost/neo4j >/dev/null 2>&1; then exit 0; fi
for tool in buildah debootstrap runc docker-registry; do
    command -v $tool >/dev/null || { echo "missing: $tool. Run: sudo apt install buildah debootstrap runc docker-registry" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "debootstrap needs root: run make as root" >&2; exit 1; }
# The mirror that this machine itself uses.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | awk '!/security/ && !found++')
rm -rf "$dir" && mkdir -p "$dir"
echo "making localhost/java from Debian's packages"
debootstrap --variant=minbase --include=openjdk-17-jre-headless,ca-certificates bookworm "$dir/root" "$mirror" >"$dir/debootstrap.log"
# Nothing of these is read when Neo4j runs.
rm -rf "$dir"/root/{var/cache/apt,var/lib/apt/lists,usr/share/{doc,man,locale,info}}/* "$dir"/root/var/log/*.log
container=$(buildah from scratch)
buildah add -q "$container" "$dir/root" /
buildah commit -q --rm "$container" localhost/java
container=$(buildah from scratch)
# As the official image has it, so that the Dockerfile's own owner and mode are seen to count.
buildah add -q --chown 7474:7474 --chmod 777 "$container" "$home" /var/lib/neo4j
buildah commit -q --rm "$container" localhost/neo4j
rm -rf "$dir/root"
echo "$made_from" >"$dir/made-from"
