//! The gateway over real loopback sockets.

// The attributes tell clippy that what helps the tests is test code too.
#[cfg(test)]
mod admission;
#[cfg(test)]
mod book;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod party;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod traffic;
