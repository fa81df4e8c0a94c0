#!/bin/sh
# Builds the Dockerfiles and runs the compose file where a Docker engine is at hand, and says what it saw.
#
#   scripts/try-containers.sh                    the worker's image, then Redis, API and a worker
#   scripts/try-containers.sh --gpu-host         the image of the GPU host too (several GB)
#   BASES="node:24.11-bookworm-slim=registry.example/node:24" scripts/try-containers.sh
#                                                other base images, as name=image, several with blanks
#
# Exit code 0: all was well; 1: something was not; 3: there is no engine, so nothing was tried.
set -u
cd "$(dirname "$0")/.." || exit 1

project=mirumoji-try-$$
image=$(sed -n 's/^  image: \(mirumoji-worker:.*\)/\1/p' docker-compose.yml)
media=
failed=0

say() { printf '%s\n' "$*"; }
check() { # check WORDS COMMAND...
  words=$1
  shift
  if "$@" >"$media/log" 2>&1; then
    say "well: $words"
  else
    say "NOT WELL: $words"
    sed 's/^/    /' "$media/log" | tail -n 20
    failed=1
  fi
}

if ! command -v docker >/dev/null 2>&1; then
  say "nothing was tried: docker is not installed"
  exit 3
fi
if ! docker info >/dev/null 2>&1; then
  say "nothing was tried: no Docker engine answers (docker info)"
  exit 3
fi
if ! docker compose version >/dev/null 2>&1; then
  say "nothing was tried: Docker's compose plugin is not installed"
  exit 3
fi

media=$(mktemp -d)
chmod 777 "$media"
export MEDIA_FOLDER="$media" BOARD_USERS=try:try MODAL_TOKEN_ID=ak-try MODAL_TOKEN_SECRET=as-try GRAFANA_PASSWORD=try
export MIRUMOJI_UID="$(id -u)" MIRUMOJI_GID="$(id -g)" API_PORT="${API_PORT:-19464}"
if [ "$MIRUMOJI_UID" = 0 ]; then export MIRUMOJI_UID=1000 MIRUMOJI_GID=1000; fi
# Nobody answers there: the pool must wait for Modal, not die of it.
export MODAL_SERVER_URL=http://127.0.0.1:9

compose() { docker compose --project-name "$project" "$@"; }
finish() {
  compose down --volumes --timeout 5 >/dev/null 2>&1
  rm -rf "$media"
}
trap finish EXIT
trap 'exit 1' INT TERM

bases=
for base in ${BASES:-}; do bases="$bases --build-context ${base%%=*}=docker-image://${base#*=}"; done
grep -h '^FROM .*:' Dockerfile container/Dockerfile | sort -u | sed 's/^FROM /base image: /'

# Build contexts are words of their own.
# shellcheck disable=SC2086
check "Dockerfile builds" docker build $bases --tag "$image" .
if [ "${1:-}" = --gpu-host ]; then
  # shellcheck disable=SC2086
  check "container/Dockerfile builds" docker build $bases --file container/Dockerfile --target gpu-host \
    --tag "mirumoji-gpu-host:${image##*:}" .
fi
say "size: $(docker image inspect --format '{{.Size}}' "$image") bytes"
check "the image has a version" docker run --rm --read-only --network none "$image" --version
check "the image does not run as root" sh -c "[ \"\$(docker run --rm --entrypoint id '$image' -u)\" != 0 ]"
check "the image has ffmpeg" docker run --rm --network none --entrypoint ffmpeg "$image" -version

check "a missing media folder stops the start" sh -c \
  "! MEDIA_FOLDER='$media/missing' docker compose --project-name '$project' up --detach --wait worker"
[ ! -e "$media/missing" ] || { say "NOT WELL: the missing folder was made"; failed=1; }
compose down --volumes >/dev/null 2>&1

check "Redis, API and a worker are up and healthy" docker compose --project-name "$project" up --detach --wait \
  --wait-timeout 120 redis api worker
check "the API answers" docker compose --project-name "$project" exec -T api mirumoji-worker health --live
check "the worker writes to the media folder" docker compose --project-name "$project" exec -T --user \
  "$MIRUMOJI_UID:$MIRUMOJI_GID" worker node -e 'require("node:fs").writeFileSync("/media/try", "")'
check "Redis goes away" docker compose --project-name "$project" stop redis
sleep 5
check "the worker still lives" docker compose --project-name "$project" exec -T worker mirumoji-worker health --live
check "the worker is not ready" sh -c \
  "! docker compose --project-name '$project' exec -T worker mirumoji-worker health"
check "Redis comes back" docker compose --project-name "$project" up --detach --wait redis
check "a stopped worker ends by itself" sh -c \
  "docker compose --project-name '$project' stop worker && [ \"\$(docker inspect --format '{{.State.ExitCode}}' \
    '$project-worker-1')\" = 0 ]"

[ "$failed" = 0 ] && say "all was well" || say "not all was well"
exit "$failed"
