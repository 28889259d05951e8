//! The built binary against emulators of the AWS wire protocols, moto and ministack. The tests assert what the AWS API returns, not what
//! the binary prints about itself.
//!
//! `moto_rules.py` adds to moto what AWS delays and refuses: the states of a restore and of a deletion, protection, the rules of tags, client
//! tokens, launch templates that are not found right after their creation. A terminated instance stays listed, and an instance never
//! boots, so the tests write the bootstrap's tags. `ministack_server.py` says how ministack differs.

#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod audit_log;
mod bad_input;
mod base_template;
mod clock_skew;
mod commands;
mod concurrency;
mod contract;
mod credentials;
mod database_checks;
mod doctor;
mod faults;
mod first_hour;
mod foreign_answers;
mod images;
mod in_place;
mod lambda;
mod lifecycle;
mod live_tail;
mod ministack;
mod notices;
mod pages;
mod policies;
mod port_forward;
mod profiles;
mod prove;
mod refusals;
mod registry;
mod removal;
mod sessions;
mod stack;
mod surroundings;
mod terminal;
mod tls;
