#!/usr/bin/env bash
# Looks at the reports in headless Chromium, at the widths of a desk and a phone, light and dark: no message on the console, no request to
# anywhere, nothing wider than the screen, nothing that axe-core (accessibility) or html-validate (HTML) finds wrong.
#
#     tests/web/run.sh                   trains a little, writes the reports, looks at them
#     tests/web/run.sh --pictures DIR    and keeps a picture of each page in DIR
#
# Needs node 20 and Chromium (Debian: apt-get install chromium; CHROMIUM names another); npm fetches the rest.
set -euo pipefail
cd "$(dirname "$0")"
pictures=
case "${1:-}" in
"") ;;
--pictures) mkdir -p "${2:?--pictures: expected a folder}" && pictures=$(cd "$2" && pwd) ;;
*)
    echo "usage: tests/web/run.sh [--pictures DIR]" >&2
    exit 2
    ;;
esac
npm ci --silent --no-audit --no-fund

cd ../..
cargo build --quiet --locked --release --bins
bin=${CARGO_TARGET_DIR:-target}/release
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
"$bin/lenet" --epochs 2 --quiet --profile --log "$pages/plain.jsonl" --report "$pages/lenet.html" --draw-tape "$pages/tape.svg" >/dev/null
"$bin/lenet" --epochs 2 --quiet --batch-norm --log "$pages/batch-norm.jsonl" --report "$pages/batch-norm.html" >/dev/null
"$bin/lenet" compare "$pages/plain.jsonl" "$pages/batch-norm.html" --report "$pages/compare.html"
"$bin/edge_kernel" --report "$pages/edge.html" >/dev/null
node tests/web/look.mjs "$pages" "$pictures"
