#!/usr/bin/env bash
# Looks for memory that nobody may touch, and for races, while the tests run:
#
#     tests/sanitizers.sh [miri] [address] [thread]       all three unless told otherwise
#
# miri     interprets plain Rust: every room with unsafe in it, and what stands on them (tests/unsafe_rooms.rs)
# address  AddressSanitizer over the paths with vector instructions: every op on every instruction set that this CPU has. It does not see
#          loads and stores with a mask (AVX-512); tests/guard_pages.rs puts memory that faults behind every block for these.
# thread   ThreadSanitizer over the pool of threads, and over steps of training on 2 to 16 of them. It must see std's locks, so std is
#          compiled, too (-Zbuild-std), which takes minutes.
#
# Needs nightly Rust; miri and thread also `rustup component add --toolchain nightly miri rust-src`.
set -euo pipefail
cd "$(dirname "$0")/.."

triple=$(rustc +nightly -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}

# With other flags everything is compiled anew: in folders of their own, so that the tests' builds stay.
sanitize() {
    local name=$1
    shift
    RUSTFLAGS="-Zsanitizer=$name" CARGO_TARGET_DIR="$target/sanitize-$name" cargo +nightly test --quiet --target "$triple" "$@"
}

miri() {
    # The threads of the pool never end, which Miri would call a leak.
    MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks" TAPEGRAD_ISA=scalar TAPEGRAD_THREADS=3 \
        cargo +nightly miri test --test unsafe_rooms
}

address() {
    sanitize address --test gemm --test kernels --test math --test same_bits --test unsafe_rooms
}

thread() {
    export TSAN_OPTIONS=halt_on_error=1
    sanitize thread -Zbuild-std --test parallel
    TAPEGRAD_THREADS=3 sanitize thread -Zbuild-std --test unsafe_rooms
    sanitize thread -Zbuild-std --test reproducible -- --exact training_gives_the_published_bits_on_any_number_of_threads
}

[ $# -gt 0 ] || set -- miri address thread
for sanitizer in "$@"; do
    case $sanitizer in
    miri | address | thread) "$sanitizer" ;;
    *)
        echo "usage: tests/sanitizers.sh [miri] [address] [thread]" >&2
        exit 2
        ;;
    esac
done
