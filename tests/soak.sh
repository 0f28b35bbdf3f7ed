#!/usr/bin/env bash
# 200 trainings in one process, and then 10,000 steps with each net: memory within 2 MB, open files and threads as before, the same bits.
# And a step takes as long at the end as at the start, within 5%. Minutes.
#
#     tests/soak.sh [STEPS] [TRAININGS]
#
# The time of a step is held here and not in the test, and only the third answer counts if it is a bad one: a neighbour on the machine
# spoils one of three, a program that becomes slower all of them.
set -euo pipefail
cd "$(dirname "$0")/.."
steps=${1:-10000} trainings=${2:-200}
found=$(mktemp)
trap 'rm -f "$found"' EXIT
for attempt in 1 2 3; do
    SOAK_STEPS=$steps SOAK_TRAININGS=$trainings cargo test --release --test soak -- --nocapture | tee "$found"
    [ "$(grep -c ' flat within ' "$found")" = 2 ] || { echo "expected a verdict for each of two nets"; exit 1; }
    grep -q ' not flat within ' "$found" || exit 0
    echo "attempt $attempt of 3: the time of a step was not flat"
    trainings=0
done
exit 1
