#!/usr/bin/env bash
# build.sh HOME: a Neo4j home like the official image's, from Maven Central; complete, or not there at all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=$1
made_from=$(cat "$here"/{pom.xml,EnterpriseServer.java,neo4j,build.sh} | cksum)
if [ "$(cat "$home/made-from" 2>/dev/null)" = "$made_from" ]; then exit 0; fi

echo "fetching Neo4j 3.4.6 Enterprise (144 jars, 114 MB) with Maven"
mkdir -p "$(dirname "$home")"
# Absolute, because Maven takes a relative path from where its pom is.
new=$(mktemp -d "$(cd "$(dirname "$home")" && pwd)/$(basename "$home").XXXXXX")
trap 'rm -rf "$new"' EXIT
mvn --quiet --batch-mode --file "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$new/lib"
mkdir -p "$new/bin" "$new/classes"
javac --release 8 -Xlint:-options -cp "$new/lib/*" -d "$new/classes" "$here/EnterpriseServer.java"
jar --create --file "$new/lib/enterprise-server.jar" -C "$new/classes" .
rm -r "$new/classes"
install -m 755 "$here/neo4j" "$new/bin/neo4j"
echo "$made_from" >"$new/made-from"
chmod 755 "$new"
rm -rf "$home"
mv "$new" "$home"
trap - EXIT
