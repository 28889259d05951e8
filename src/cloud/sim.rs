//! The simulated cloud: a model of EC2, RDS, CloudWatch Logs and the image pipeline behind the port.
//!
//! Time comes from a [`Clock`] and randomness from a seeded generator, so on tokio's paused clock a seed always gives the same history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::cloud::{DynAccount, Observed, Result};

mod account;
mod api;
mod deployments;
mod events;
mod faults;
mod interventions;
mod listings;
mod logs;
mod mutations;
mod notices;
mod operations;
mod past;
mod pipelines;
mod proofs;
mod rds;
mod registry;
mod scenario;
mod sent_notices;
mod setup;
mod state;
mod strictness;
mod throttle;
mod versioned;

pub use interventions::Intervention;
pub use scenario::{Faults, Guarantee, InitialEnvironment, Latency, Scenario};
pub use sent_notices::{Delivery, SentNotice};
pub use state::{Change, Entry, LaunchData, Observer, SimDatabase, SimInstance, State, Template};
pub use strictness::{Neighbours, Strictness};

use operations::Operation;

/// A simulated account. Clones share it.
#[derive(Clone)]
pub struct SimCloud {
    state: Arc<Mutex<State>>,
    clock: Clock,
    region: Arc<str>,
}

/// The port to the account for one caller.
struct Caller {
    cloud: SimCloud,
    name: String,
}

impl SimCloud {
    /// Creates the account of a scenario.
    #[must_use]
    pub fn new(scenario: Scenario, seed: u64, clock: Clock) -> Self {
        let region = scenario.region.as_str().into();
        let mut state = State::new(scenario, seed, clock.now());
        state.populate();
        Self { state: Arc::new(Mutex::new(state)), clock, region }
    }

    /// Returns the port for a caller. The history records its name.
    #[must_use]
    pub fn caller(&self, name: impl Into<String>) -> DynAccount {
        Arc::new(Caller { cloud: self.clone(), name: name.into() })
    }

    /// Reads the current state of the account, without lag and faults.
    pub fn inspect<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.advanced())
    }

    /// Sets a function that is called after every change.
    pub fn observe(&self, observer: Observer) {
        self.lock().observer = Some(observer);
    }

    /// Limits the number of entries in the history; 0 disables it.
    pub fn limit_history(&self, entries: usize) {
        self.lock().max_history = entries;
    }

    /// Changes the faults from now on.
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.lock().scenario.faults);
    }

    /// Disables all faults.
    pub fn clear_faults(&self) {
        let mut state = self.lock();
        let page = state.scenario.faults.page;
        state.scenario.faults = Faults { page, lag: 0.0, ..Faults::default() };
        state.zone_out = None;
        // What the account's network and RDS sell is no fault.
        let Strictness {
            two_tag_calls, initialization, loading_minutes, database_zones, unsold_zones, ..
        } = std::mem::take(&mut state.scenario.strictness);
        let facts = Strictness {
            two_tag_calls,
            initialization,
            loading_minutes,
            database_zones,
            unsold_zones,
            ..Strictness::default()
        };
        state.scenario.strictness = facts;
        (state.outage, state.database_zone_out, state.broken_launches) = (None, None, None);
    }

    /// Handles asynchronous events while no call is made. Runs until it is dropped.
    pub async fn run_events(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                let now = self.clock.now();
                state.advance(now);
                state.next_due().map(|due| (due - now).to_std().unwrap_or_default())
            };
            let wait = next.unwrap_or(std::time::Duration::from_hours(1));
            self.clock.sleep(wait.max(std::time::Duration::from_millis(1))).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles the due events and returns the current state.
    fn advanced(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let now = self.clock.now();
        state.advance(now);
        state
    }
}

/// Describes the result of a read for the history.
fn describe_read<T: std::fmt::Debug>(
    operation: Operation,
    lag: chrono::TimeDelta,
    result: &Result<T>,
) -> String {
    const MAX_CHARS: usize = 400;
    let mut text = match result {
        Ok(value) => format!("{} saw, {} ms old: {value:?}", operation.name, lag.num_milliseconds()),
        Err(error) => format!("{}: {error}", operation.name),
    };
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
    }
    // The text of a listing has a hundred times the length of what is left of it.
    text.shrink_to_fit();
    text
}

impl Caller {
    /// Reads the state as it was before the lag of the call's outcome.
    async fn read<T: std::fmt::Debug>(
        &self,
        operation: Operation,
        read: impl FnOnce(&mut State, chrono::DateTime<chrono::Utc>) -> Result<T> + Send,
    ) -> Result<Observed<T>> {
        let outcome = self.cloud.advanced().draw_outcome(operation);
        self.wait(outcome.request_time).await;
        let response = {
            let mut state = self.cloud.advanced();
            let now = state.now;
            match outcome.error {
                Some(error) => Err(error),
                None if outcome.request_lost => Err(faults::no_response(operation)),
                None => {
                    let response = read(&mut state, now - outcome.lag);
                    state.record(&self.name, || describe_read(operation, outcome.lag, &response));
                    response.map(|value| Observed { value, as_of: Some(now) })
                }
            }
        };
        self.wait(outcome.response_time).await;
        response
    }

    /// Changes the state once, twice or not at all, according to the call's outcome.
    async fn write<T: Send + 'static>(
        &self,
        operation: Operation,
        change: impl FnMut(&mut State, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut change = change;
        let outcome = self.cloud.advanced().draw_outcome(operation);
        self.wait(outcome.request_time).await;
        let response = {
            let mut state = self.cloud.advanced();
            match outcome.error.or_else(|| state.write_denial(&self.name, operation)) {
                Some(error) => Err(error),
                None if outcome.request_lost => Err(faults::no_response(operation)),
                None => {
                    let response = change(&mut state, &self.name);
                    state.record(&self.name, || {
                        let outcome = response.as_ref().err().map_or("done".to_owned(), ToString::to_string);
                        format!("{}: {outcome}", operation.name)
                    });
                    if let Some(seconds) = outcome.duplicate_after {
                        let serial = state.next_serial();
                        let who = self.name.clone();
                        // The response to the duplicate has no receiver.
                        state.duplicates.insert(serial, Box::new(move |state, _| drop(change(state, &who))));
                        state.schedule_in(seconds, state::Event::Duplicate(serial));
                    }
                    response
                }
            }
        };
        self.wait(outcome.response_time).await;
        if outcome.response_lost { Err(faults::no_response(operation)) } else { response }
    }

    /// Does not yield for a zero duration, so that calls without latency are atomic.
    async fn wait(&self, duration: std::time::Duration) {
        if !duration.is_zero() {
            self.cloud.clock.sleep(duration).await;
        }
    }
}
