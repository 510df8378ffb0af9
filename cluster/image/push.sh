#!/usr/bin/env bash
# push.sh BUILDER TAG: logs in at ECR, pushes the image, and prints the value of the parameter Image: the repository with the digest.
set -euo pipefail
builder=$1 tag=$2 repository=${NEO_ECR_REPO:?must be the ARN or the URI of an ECR repository} region=${NEO_AWS_REGION:?must be its Region}
[[ $repository != arn:* ]] || repository=$(sed -E 's#^arn:[^:]+:ecr:([^:]+):([0-9]+):repository/(.+)$#\2.dkr.ecr.\1.amazonaws.com/\3#' <<<"$repository")
aws ecr get-login-password --region "$region" | "$builder" login --username AWS --password-stdin "${repository%%/*}" >&2
"$builder" tag "$tag" "$repository:${tag##*:}"
if [[ $builder == *buildah ]]; then "$builder" push --digestfile .local/image/digest "$repository:${tag##*:}" >&2; else
    "$builder" push "$repository:${tag##*:}" >&2 && "$builder" image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$tag" | sed -n "s#^$repository@##p" >.local/image/digest; fi
echo "Image=$repository@$(cat .local/image/digest)"
