# The few verbs that people use. `make test` is what the README and the CI call.

.PHONY: test fmt lint unit tpm tools build

test: fmt lint unit tpm

# Formatting, as rustfmt.toml says.
fmt:
	cargo fmt --all --check

# Clippy with warnings denied, tests included.
lint:
	cargo clippy --workspace --all-targets --locked -- --deny warnings

# Every test of every crate.
unit: tools
	cargo test --workspace --locked

# Master keys in a TPM, against an emulator; the script says what it needs.
tpm:
	tests/tpm.sh

# Other people's commands that tests compare with.
tools:
	tests/tools.sh

# The binary that images use: slow to build, some 8 % faster at signing, and without the bench and
# its trusted dealer.
build:
	cargo build --profile dist --locked --no-default-features
