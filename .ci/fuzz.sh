#!/bin/bash
# Runs every fuzz target for a while: fuzz.sh [TIME, default 15s]. What breaks one is kept under testdata/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-15s}
count=0
while IFS=: read -r file target; do
	dir=./$(dirname "$file")
	echo "fuzz $dir $target"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir"
	count=$((count + 1))
done < <(find . -name '.?*' -prune -o -name '*_test.go' -print0 |
	xargs -0 -r sed -nE -s 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/;T;F;p' | paste -d: - - | sed 's#^\./##')
echo "$count fuzz targets ran for $time each"
