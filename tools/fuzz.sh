#!/bin/sh
# fuzz.sh PACKAGE FUZZTEST: fuzzes for $FUZZTIME, and says what it found.
#
# Where that time ends in the middle of an input, go test may call it a failure
# of no input at all (https://go.dev/issue/75804). Of an input that fails, it
# says where it has written it.
out=$("${GO:-go}" test -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" -parallel 1 "$1" 2>&1) && { echo "ok $1 $2"; exit 0; }
ended="--- FAIL: $2 (*s)
    context deadline exceeded
FAIL"
case $out in
*"Failing input"* | *"seed corpus"* | *panic*) ;;
*$ended*) echo "ok $1 $2, its time ended in an input"; exit 0 ;;
esac
echo "FAIL $1 $2"
echo "$out"
exit 1
