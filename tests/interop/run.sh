#!/usr/bin/env bash
# Holds what tapegrad writes against what others read from it, and the other way round: ./run.sh [--pytorch]
#
# ONNX's checker, ONNX Runtime, safetensors and Pillow, in about a minute; with --pytorch (some gigabytes) PyTorch, too, which trains on with what was
# trained here. One line for each check, with its figure; the first that does not hold ends the script with exit code 1.
#
# Makes a Python environment below target/interop at the first call. INTEROP_PYTHON names a Python that has the packages of requirements.txt
# (and requirements-pytorch.txt) already; CARGO_TARGET_DIR is honoured.
#
# What is here: onnx_models.py, tensors.py, pictures.py, torch_nets.py, torch_trains_on.py; checks.py, which they all use.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
pytorch=
case "$*" in
"") ;;
--pytorch) pytorch=yes ;;
*)
    echo "usage: ./run.sh [--pytorch]" >&2
    exit 2
    ;;
esac

python=${INTEROP_PYTHON:-$target/interop/bin/python}
if [ -z "${INTEROP_PYTHON:-}" ]; then
    [ -x "$python" ] || "${PYTHON:-python3}" -m venv "$target/interop"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement requirements.txt \
        ${pytorch:+--requirement requirements-pytorch.txt}
fi

cd "$root"
cargo build --quiet --locked --release --bins
export LENET=$target/release/lenet EDGE_KERNEL=$target/release/edge_kernel
FILES=$(mktemp -d)
export FILES
trap 'rm -rf "$FILES"' EXIT
for net in lenet batch-norm; do
    option=
    [ "$net" = lenet ] || option=--$net
    # shellcheck disable=SC2086
    "$LENET" $option --epochs 1 --quiet --save "$FILES/$net.safetensors"
    "$LENET" export --load "$FILES/$net.safetensors" --onnx "$FILES/$net.onnx"
    "$LENET" eval --load "$FILES/$net.safetensors" --logits "$FILES/$net.logits" >"$FILES/$net.eval"
done
mkdir "$FILES/zoo"
TAPEGRAD_ZOO=$FILES/zoo cargo test --quiet --locked --test onnx_zoo >/dev/null

# -B: no __pycache__ in the repository.
"$python" -B tests/interop/onnx_models.py
"$python" -B tests/interop/tensors.py
"$python" -B tests/interop/pictures.py
if [ -n "$pytorch" ]; then
    # The notebook's nets are those of the golden files.
    export PYTHONPATH=$root/tests/golden${PYTHONPATH:+:$PYTHONPATH}
    "$python" -B tests/interop/torch_nets.py
    "$python" -B tests/interop/torch_trains_on.py
fi
echo "all as it should be"
