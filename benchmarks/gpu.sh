#!/usr/bin/env bash
# What only a GPU can show, in four minutes at most: the tests marked `gpu`, then the engine beside its peers at 192 pixels
# and which way its passes took: CUDA graphs, or plainly where the GPU cannot capture them.
# Run it where this program and its extra `test` are installed. OUT names a folder for the tables (default: here).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-.}
python=${PYTHON:-python3}
"$python" -c 'import torch, sys; sys.exit(not torch.cuda.is_available() and "No CUDA GPU is available here.")'
failed=0
timeout 100 "$python" -m pytest -m gpu tests/inference tests/training/test_loop.py 2>&1 | tee "$out/gpu-tests.txt" || failed=1
timeout 120 "$python" -m benchmarks.explain --device cuda --batches 1,8,64,256 --rounds 15 --no-memory |
  tee "$out/gpu-explain.md" || failed=1
exit $failed
