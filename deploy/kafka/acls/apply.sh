#!/bin/sh
# Adds what each service may do, as the administrator whose client properties the second argument names:
#     apply.sh broker:9093 administrator.properties
# It only adds: to take something away, call `kafka-acls.sh --remove` with the line that went.
set -eu
servers="$1"
properties="$2"
for file in "$(dirname "$0")"/*.acls; do
    grep --invert-match '^#' "$file" | while read -r line; do
        # Each word of the line is an argument of its own.
        # shellcheck disable=SC2086
        "${KAFKA_ACLS:-kafka-acls.sh}" --bootstrap-server "$servers" --command-config "$properties" --add $line </dev/null
    done
done
