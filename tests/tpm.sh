#!/usr/bin/env bash
# Lints and tests what needs a TPM 2.0, against the emulator swtpm. Installs Debian's packages for it
# when they are missing and it may. Where it may not it says SKIPPED; in CI that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

# The packages that are not there yet.
missing() {
    command -v pkg-config >/dev/null || echo pkg-config
    pkg-config --exists tss2-esys 2>/dev/null || echo libtss2-dev
    command -v swtpm >/dev/null || echo swtpm
}

install() {
    apt-get install --yes --no-install-recommends "$@"
}

packages=$(missing)
if [ -n "$packages" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    # Words, one package each.
    # shellcheck disable=SC2086
    install $packages || { apt-get update && install $packages; } || true
    packages=$(missing)
fi
if [ -n "$packages" ]; then
    echo "SKIPPED: the TPM tests, for want of:" $packages
    [ -z "${CI:-}" ] || { echo "which CI must not do"; exit 1; }
    exit 0
fi

# Of the whole workspace, as the other tests are: its dependencies need not be built again then.
features=party-runtime/tpm,mpc/tpm
cargo clippy --workspace --features "$features" --all-targets --locked -- --deny warnings
cargo test --workspace --features "$features" --locked --test tpm
cargo test --workspace --features "$features" --locked --test mpc keys_tpm
