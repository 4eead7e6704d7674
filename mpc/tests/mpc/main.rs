//! The real binary, run as people run it.

// The attributes tell clippy that what helps the tests is test code too.
#[cfg(test)]
mod command;
#[cfg(test)]
mod coordinator_killed;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod node;
#[cfg(test)]
mod running;
#[cfg(test)]
mod second_opinion;
#[cfg(test)]
mod usage;
