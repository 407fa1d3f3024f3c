#!/usr/bin/env bash
# Generates the Python modules and type stubs of proto/ring/v1 in place.
# With --check: generates them into a temporary folder and fails where they differ.
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=$(cd "${BIN:-.venv/bin}" && pwd)
out=.
if [ "${1:-}" = --check ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
PATH="$BIN:$PATH" "$BIN/python" -m grpc_tools.protoc -I. --python_out="$out" --grpc_python_out="$out" \
  --mypy_out=quiet:"$out" --mypy_grpc_out=quiet:"$out" proto/ring/v1/*.proto
# Files with no service need no gRPC module.
for f in proto/ring/v1/*.proto; do
  grep -q '^service ' "$f" || rm -f "$out/${f%.proto}_pb2_grpc.py" "$out/${f%.proto}_pb2_grpc.pyi"
done
if [ "$out" != . ]; then
  diff -r -x '*.proto' -x __init__.py -x __pycache__ "$out/proto/ring/v1" proto/ring/v1 >/dev/null || {
    echo "the generated modules in proto/ are not those of the .proto files: run 'make proto'" >&2
    exit 1
  }
  echo "the generated modules are up to date"
fi
