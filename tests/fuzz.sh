#!/usr/bin/env bash
# Fuzzes every reader of files, and chains of views, for so many seconds each (900 unless told otherwise):
#
#     tests/fuzz.sh [SECONDS] [TARGET...]
#
# Needs nightly Rust and `cargo install cargo-fuzz`. An input that goes wrong lies in tests/fuzz/artifacts/ afterwards; it belongs into
# tests/fuzz/corpus/, where tests/corpus.rs checks it for ever. What is found on the way lies in tests/fuzz/target/found/; the few files
# of it that reach code that the corpus does not are added to it by
#
#     cargo +nightly fuzz run --fuzz-dir tests/fuzz TARGET tests/fuzz/corpus/TARGET tests/fuzz/target/found/TARGET -- \
#         -set_cover_merge=1 -use_counters=0
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-900}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(checkpoint idx pgm png safetensors views)
found=tests/fuzz/target/found

cargo fuzz --version >/dev/null 2>&1 || { echo "needs cargo-fuzz: cargo install cargo-fuzz"; exit 1; }
cargo +nightly fuzz build --fuzz-dir tests/fuzz

# Files that are written over a thousand times a second go into memory where the system has a place for them.
temporary=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$temporary"' EXIT
export TMPDIR=$temporary
# By default, freed memory waits in a queue of 256 MB for somebody to touch it.
export ASAN_OPTIONS=quarantine_size_mb=16

for target in "${targets[@]}"; do
    echo "== $target: $seconds s"
    mkdir -p "$found/$target"
    cargo +nightly fuzz run --fuzz-dir tests/fuzz "$target" "$found/$target" "tests/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=256 -timeout=10 -max_len=4096 -print_final_stats=1 -verbosity=0
done
