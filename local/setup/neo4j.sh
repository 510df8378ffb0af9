#!/usr/bin/env bash
# neo4j.sh HOME SOURCE WHAT: a Neo4j home like the official image's, from Maven Central: the jars of SOURCE/pom.xml, an entry
# point compiled from SOURCE/*.java where Central lacks one, and SOURCE/neo4j* in bin; complete, or not there at all.
set -euo pipefail
shopt -s nullglob
home=$1 source=$(cd "$2" && pwd) what=$3
java=("$source"/*.java)
scripts=("$source"/neo4j*)
made_from=$(cat "$source/pom.xml" "${java[@]}" "${scripts[@]}" "$0" | cksum)
if [ "$(cat "$home/made-from" 2>/dev/null)" = "$made_from" ]; then exit 0; fi

echo "fetching $what with Maven"
mkdir -p "$(dirname "$home")"
# Absolute, because Maven takes a relative path from where its pom is.
new=$(mktemp -d "$(cd "$(dirname "$home")" && pwd)/$(basename "$home").XXXXXX")
trap 'rm -rf "$new"' EXIT
mvn --quiet --batch-mode --file "$source/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$new/lib"
if [ ${#java[@]} -gt 0 ]; then
    mkdir "$new/classes"
    javac --release 8 -Xlint:-options -cp "$new/lib/*" -d "$new/classes" "${java[@]}"
    jar --create --file "$new/lib/entry-point.jar" -C "$new/classes" .
    rm -r "$new/classes"
fi
mkdir "$new/bin"
install -m 755 "${scripts[@]}" "$new/bin"
echo "$made_from" >"$new/made-from"
chmod 755 "$new"
rm -rf "$home"
mv "$new" "$home"
trap - EXIT
