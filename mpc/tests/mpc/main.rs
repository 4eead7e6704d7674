//! The real binary, run as people run it.

// The attributes tell clippy that what helps the tests is test code too.
#[cfg(test)]
mod apikey;
#[cfg(test)]
mod audit;
mod audit_lost;
#[cfg(test)]
mod audit_tail;
#[cfg(test)]
mod authorization;
#[cfg(test)]
#[allow(unreachable_pub, dead_code, reason = "it is a library's elsewhere")]
#[path = "../../../tests/src/canary.rs"]
mod canary;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod command;
#[cfg(test)]
mod coordinator_killed;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod keys_tpm;
#[cfg(test)]
mod node;
#[cfg(test)]
mod party;
#[cfg(test)]
mod running;
#[cfg(test)]
mod second_opinion;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod usage;
