#!/usr/bin/env bash
# build.sh HOME: a Neo4j 5.26 Community home from Maven Central; complete, or not there at all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=$1
made_from=$(cat "$here"/{pom.xml,neo4j,build.sh} | cksum)
if [ "$(cat "$home/made-from" 2>/dev/null)" = "$made_from" ]; then exit 0; fi

echo "fetching Neo4j 5.26 Community (228 jars, 125 MB) with Maven"
mkdir -p "$(dirname "$home")"
# Absolute, because Maven takes a relative path from where its pom is.
new=$(mktemp -d "$(cd "$(dirname "$home")" && pwd)/$(basename "$home").XXXXXX")
trap 'rm -rf "$new"' EXIT
mvn --quiet --batch-mode --file "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$new/lib"
mkdir -p "$new/bin"
install -m 755 "$here/neo4j" "$new/bin/neo4j"
echo "$made_from" >"$new/made-from"
chmod 755 "$new"
rm -rf "$home"
mv "$new" "$home"
trap - EXIT
