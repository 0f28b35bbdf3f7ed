#!/usr/bin/env bash
# Kills 200 trainings at random moments, each once or more; all must end with the bits of one that was left alone. Minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
KILLS=${1:-200} KILLS_SEED=${2:-7} cargo test --release --test kills -- --nocapture
