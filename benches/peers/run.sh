#!/usr/bin/env bash
# Measures tapegrad beside its peers and prints Markdown tables: ./run.sh [lenet] [batch-norm] [inference] [gemm] [conv] [start]
#
# Makes what it needs at the first call, below target/peers: a Python environment (some gigabytes) and the workers in Rust (some minutes).
# PEERS_VENV names an environment that is there already; CARGO_TARGET_DIR is honoured.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
export PEERS_FILES=$root/target/peers
venv=${PEERS_VENV:-$PEERS_FILES/venv}

if [ ! -x "$venv/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement requirements.txt
fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PEERS_FILES/rust}
cargo build --quiet --locked --release --manifest-path rust/Cargo.toml
export PEERS_PROGRAMS=$CARGO_TARGET_DIR/release
export FASHION_MNIST=$root/data/fashion-mnist
exec "$venv/bin/python" compare "$@"
