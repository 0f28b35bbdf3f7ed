#!/usr/bin/env bash
# Looks at the reports in headless Chromium, at the widths of a desk and a phone, light and dark, and as printed: no message on the console,
# no request to anywhere, nothing wider than the screen, values under the pointer and the arrow keys, nothing that axe-core (accessibility) or
# html-validate (HTML) finds wrong. Where pngcheck is installed it reads every PNG file.
#
#     tests/web/run.sh                   trains a little, writes the reports, looks at them
#     tests/web/run.sh --pictures DIR    and keeps a picture of each page in DIR
#     tests/web/run.sh --readme          trains as the README does, and makes its two pictures, which tests/web/pictures keeps
#
# Needs node 20 with npm and Chromium (Debian: apt-get install chromium pngcheck; CHROMIUM names another); npm fetches the rest.
# Ends with exit code 77 where one of these cannot be had.
set -euo pipefail
cd "$(dirname "$0")"
pictures= readme=
case "${1:-}" in
"") ;;
--pictures) mkdir -p "${2:?--pictures: expected a folder}" && pictures=$(cd "$2" && pwd) ;;
--readme) readme=yes ;;
*)
    echo "usage: tests/web/run.sh [--pictures DIR | --readme]" >&2
    exit 2
    ;;
esac

missing() {
    echo "skipped: $1" >&2
    exit 77
}
command -v npm >/dev/null && node -e 'process.exit(parseInt(process.version.slice(1)) < 20 ? 1 : 0)' || missing "install node 20 with npm"
[ -x "${CHROMIUM:=/usr/bin/chromium}" ] || missing "$CHROMIUM is not there: apt-get install chromium"
export CHROMIUM
npm ci --silent --no-audit --no-fund || missing "npm cannot fetch what package-lock.json names"

cd ../..
cargo build --quiet --locked --release --bins
bin=${CARGO_TARGET_DIR:-target}/release
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
if [ -n "$readme" ]; then
    "$bin/lenet" --quiet --report "$pages/lenet.html"
    "$bin/edge_kernel" --report "$pages/edge.html" >/dev/null
    mkdir -p tests/web/pictures
    node tests/web/readme.mjs "$pages"
    exit
fi
"$bin/lenet" --epochs 2 --quiet --profile --log "$pages/plain.jsonl" --report "$pages/lenet.html" --draw-tape "$pages/tape.svg" >/dev/null
"$bin/lenet" --epochs 2 --quiet --batch-norm --log "$pages/batch-norm.jsonl" --report "$pages/batch-norm.html" >/dev/null
"$bin/lenet" compare "$pages/plain.jsonl" "$pages/batch-norm.html" --report "$pages/compare.html"
"$bin/edge_kernel" --report "$pages/edge.html" --out "$pages/edges.png" >/dev/null
# A training that is killed before its first epoch ends; its page is written when it begins.
"$bin/lenet" --epochs 100000 --batch-size 1 --quiet --report "$pages/killed.html" >/dev/null 2>&1 &
while kill -0 $! 2>/dev/null && [ ! -e "$pages/killed.html" ]; do sleep 0.1; done
kill -KILL $!
wait $! 2>/dev/null || true
touch -d '5 minutes ago' "$pages/killed.html"
node tests/web/look.mjs "$pages" "$pictures"
if command -v pngcheck >/dev/null; then
    pngcheck -q "$pages"/*.png
    echo "pngcheck: $(ls "$pages"/*.png | wc -l) pictures"
else
    echo "skipped: pngcheck is not installed"
fi
