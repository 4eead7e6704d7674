#!/usr/bin/env bash
# Installs what the tests hold our files and processes against, when it is missing and this may: the
# `age` command, which must open our backups, and libfaketime, which makes clocks disagree. A test
# whose tool is missing says SKIPPED; in CI it fails.
set -euo pipefail

missing() {
    command -v age >/dev/null || echo age
    [ -e /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 ] || echo faketime
}

install() {
    apt-get install --yes --no-install-recommends "$@"
}

packages=$(missing)
if [ -n "$packages" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    # Words, one package each.
    # shellcheck disable=SC2086
    install $packages || { apt-get update && install $packages; } ||
        echo "could not be installed:" $packages
fi
