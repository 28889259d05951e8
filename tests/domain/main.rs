//! The words of the field: what is read from tags, what a world says of its environments, and what is written for people.

#![allow(clippy::unwrap_used)]

mod environments;
mod estimates;
mod judgement;
mod reading;
mod words;

#[path = "../support"]
mod support {
    pub(crate) mod worlds;
}
