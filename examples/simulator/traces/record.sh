#!/usr/bin/env bash
# Records the traces that the simulator carries: `bash examples/simulator/traces/record.sh`.
#
# Needs valgrind, gcc, sqlite3 and zstd. The programs run under valgrind's lackey, which prints
# every access; `pinfold-sim import` reduces them to pages as they come, so no large file is written.
# README.md beside this file says what the traces are.
set -euo pipefail
cd "$(dirname "$0")"
sim=${PINFOLD_SIM:-}
if [ -z "$sim" ]; then
    cargo build --release -p pinfold-sim
    sim=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/pinfold-sim
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# record NAME WINDOW LIMIT COMMAND...: what COMMAND does under lackey, up to LIMIT accesses, as
# NAME.csv.zst. It is reduced twice, first to what is beyond the last 48 pages used, so that little
# is left to hold.
record() {
    local name=$1 window=$2 limit=$3
    shift 3
    mkfifo "$work/$name.lackey"
    "$sim" import --format lackey --window 48 --limit "$limit" --out "$work/$name.48.csv" \
        "$work/$name.lackey" &
    # When the limit is reached nobody reads on, and the program ends.
    "$@" || true
    wait $!
    "$sim" import --window "$window" --out "$work/$name.csv" "$work/$name.48.csv"
    zstd -q -f -19 "$work/$name.csv" -o "$name.csv.zst"
    ls -l "$name.csv.zst"
}

# A program of 32 functions over shared tables, the same on every machine.
make_c() {
    echo '#include <stdio.h>'
    echo '#include <stdlib.h>'
    echo '#include <string.h>'
    for ((i = 0; i < 32; i++)); do
        cat <<EOF
struct node$i { struct node$i *next; long key, value[$((i % 7 + 1))]; };
static long table$i[$((64 + i))];
long walk$i(struct node$i *n, long k) {
    long sum = 0;
    for (; n; n = n->next) {
        switch ((n->key ^ k) & 7) {
        case 0: sum += n->value[0] * $i; break;
        case 1: sum ^= table$i[(unsigned long)k % (64 + $i)]; break;
        case 2: for (int j = 0; j < $((i % 7 + 1)); j++) sum += n->value[j] << (j & 3); break;
        default: table$i[(unsigned long)n->key % (64 + $i)] -= sum; break;
        }
    }
    return sum;
}
EOF
    done
    echo 'int main(void) { return 0; }'
}

cc1() {
    make_c >"$work/input.c"
    gcc -O1 -c "$work/input.c" -o "$work/input.o" \
        -wrapper "valgrind,--tool=lackey,--trace-mem=yes,--log-file=$work/cc1.lackey"
}

sqlite() {
    valgrind --tool=lackey --trace-mem=yes --log-file="$work/sqlite.lackey" \
        sqlite3 "$work/orders.db" <<'EOF'
PRAGMA journal_mode = off;
PRAGMA synchronous = off;
PRAGMA mmap_size = 268435456;
PRAGMA cache_size = -4096;
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, town TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, day INTEGER, cents INTEGER, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 800)
    INSERT INTO customer SELECT i, 'customer ' || i, 'town ' || (i * 7919 % 53) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
    INSERT INTO orders SELECT i, i * 7919 % 800 + 1, i / 11, i * 31337 % 99991,
        'an order of some length, number ' || i || ', with a remark that takes up room' FROM n;
CREATE INDEX by_customer ON orders (customer, day);
SELECT town, count(*), sum(cents) FROM orders JOIN customer ON customer.id = orders.customer
    GROUP BY town ORDER BY 3 DESC LIMIT 3;
SELECT count(*) FROM orders WHERE note LIKE '%number 3%7,%';
UPDATE orders SET cents = cents + 1 WHERE customer % 10 = 3;
SELECT name, (SELECT max(day) FROM orders WHERE customer = customer.id) AS last FROM customer
    ORDER BY last DESC, name LIMIT 3;
DELETE FROM orders WHERE day % 5 = 2;
SELECT day / 100, avg(cents) FROM orders GROUP BY 1 ORDER BY 2 LIMIT 3;
EOF
}

for name in ${*:-cc1 sqlite}; do
    case $name in
    cc1) record cc1 256 332233544 cc1 ;;
    sqlite) record sqlite 64 209364423 sqlite ;;
    *) echo "no such trace: $name" >&2; exit 2 ;;
    esac
done
