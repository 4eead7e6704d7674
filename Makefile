# The few verbs that people use. `make test` is what the README and the CI call.

.PHONY: test fmt lint unit tpm tools build sim attacks

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

# Coordinator and parties in simulated worlds, with everything going wrong that can: SEEDS worlds of
# SESSIONS sessions each, then the faults of the list. Not part of `test`, which has its fast form.
# With SEED it is one world, that of PROFILE or of the fault ROW: what a breach prints.
SEEDS = 1000
SESSIONS = 200
sim:
	cargo run --profile sim --locked --package mpc-simulation --bin sim -- \
		--seeds $(SEEDS) --sessions $(SESSIONS) $(if $(SEED),--seed $(SEED)) \
		$(if $(PROFILE),--profile $(PROFILE)) $(if $(ROW),--row $(ROW)) \
		$(if $(THREADS),--threads $(THREADS))

# What the signing library alone lets pass or panics over, without the guard in front of it: passes as
# long as the findings are there. Not part of `test`.
attacks:
	cargo test --workspace --locked --test hostile -- --ignored attacks::

# Other people's commands that tests compare with.
tools:
	tests/tools.sh

# The binary that images use: slow to build, some 8 % faster at signing, and without the bench and
# its trusted dealer.
build:
	cargo build --profile dist --locked --no-default-features
