#!/usr/bin/env bash
# Installs what the tests hold our files against, when it is missing and this may: the `age` command,
# which must open our backups. A test whose tool is missing says SKIPPED; in CI it fails.
set -euo pipefail

if ! command -v age >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get install --yes --no-install-recommends age ||
        { apt-get update && apt-get install --yes --no-install-recommends age; } ||
        echo "the command age could not be installed"
fi
