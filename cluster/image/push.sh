#!/usr/bin/env bash
# push.sh BUILDER TAG: logs in at ECR, pushes the image, and prints the value of the parameter Image: the repository with the digest.
set -euo pipefail
builder=$1 tag=$2 repository=${NEO_ECR_REPO:?must be the ARN or the URI of an ECR repository} region=${NEO_AWS_REGION:?must be its Region}
if [[ $repository =~ ^arn:(aws[a-z-]*):ecr:([^:]+):([0-9]+):repository/(.+)$ ]]; then
    suffix=amazonaws.com
    [[ ${BASH_REMATCH[1]} != aws-cn ]] || suffix+=.cn
    repository=${BASH_REMATCH[3]}.dkr.ecr.${BASH_REMATCH[2]}.$suffix/${BASH_REMATCH[4]}
fi
"$builder" inspect --type image "$tag" >/dev/null 2>&1 || { echo "there is no image $tag: run make image first" >&2; exit 1; }
aws ecr get-login-password --region "$region" | "$builder" login --username AWS --password-stdin "${repository%%/*}" >&2
pushed=$repository:${tag##*:}
"$builder" tag "$tag" "$pushed"
if [[ $builder == *buildah ]]; then
    file=$(mktemp)
    "$builder" push --digestfile "$file" "$pushed" >&2
    digest=$(cat "$file")
else
    "$builder" push "$pushed" >&2
    digest=$("$builder" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$pushed" | sed -n "s#^$repository@##p" | head -n 1)
fi
[[ $digest == sha256:* ]] || { echo "$pushed is pushed, and $builder reports no digest of it" >&2; exit 1; }
echo "Image=$repository@$digest"
