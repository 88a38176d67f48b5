#!/usr/bin/env bash
# Installs into a folder of its own, builds examples/ against that folder alone, and runs it on the embedded starter.
# Usage: installed_package.sh SOURCE BUILD
set -euo pipefail
source=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
cp -r "$source/examples" "$work/examples"
cmake -S "$work/examples" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$work/build" >/dev/null
export FETTLE_CACHE="$work/cache"
answer=$("$work/build/talk" starter "What is the capital of Norway?")
echo "$answer"
grep -q "log-probability" <<<"$answer"
"$work/prefix/bin/fettle" --version
# Nothing but the public names is visible.
visible=$(nm -DC --defined-only "$work"/prefix/lib*/libfettle.so "$work"/prefix/lib/*/libfettle.so 2>/dev/null | grep -c ' T fettle::' || true)
public=$(nm -DC --defined-only "$work"/prefix/lib*/libfettle.so "$work"/prefix/lib/*/libfettle.so 2>/dev/null | grep -c ' T fettle::v1::' || true)
echo "$visible fettle functions visible, $public of them public"
[ "$visible" -gt 0 ] && [ "$visible" -eq "$public" ]
