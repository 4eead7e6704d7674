//! Real processes under real faults: `kill -9`, SIGSTOP, cut and one-way links, a database that is
//! locked, a full disk, clocks that disagree. Underneath, real parties make real signatures.
//!
//! Each fault row has a fast form that is part of the suite; its full figures take long and run
//! with `--ignored`.

mod backend;
mod judge;
mod link;
mod site;

mod clocks;
mod ending;
mod killed;
mod links;
mod storage;
mod storm;
