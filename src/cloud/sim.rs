//! The simulated cloud: a small, honest model of EC2, RDS, CloudWatch Logs and the image pipeline behind the port.
//!
//! Time is a [`Clock`]'s, randomness a seeded generator's: on tokio's paused clock one seed always gives the same history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::cloud::{DynCloud, Observed, Result};

mod api;
mod events;
mod faults;
mod listings;
mod logs;
mod mutations;
mod operations;
mod scenario;
mod setup;
mod state;
mod throttle;
mod versioned;

pub use scenario::{Faults, Guarantee, InitialEnvironment, Latency, Scenario};
pub use state::{Change, Entry, LaunchData, Observer, SimDatabase, SimInstance, State, Template};

use operations::Operation;

/// A simulated account. Clones share it.
#[derive(Clone)]
pub struct SimCloud {
    state: Arc<Mutex<State>>,
    clock: Clock,
    region: Arc<str>,
}

/// The account as one caller has it.
struct Caller {
    cloud: SimCloud,
    who: String,
}

impl SimCloud {
    /// An account as a scenario begins.
    #[must_use]
    pub fn new(scenario: Scenario, seed: u64, clock: Clock) -> Self {
        let region = scenario.region.as_str().into();
        let mut state = State::new(scenario, seed, clock.now());
        state.populate();
        Self { state: Arc::new(Mutex::new(state)), clock, region }
    }

    /// The port for one caller, whose name is in the history.
    #[must_use]
    pub fn caller(&self, who: impl Into<String>) -> DynCloud {
        Arc::new(Caller { cloud: self.clone(), who: who.into() })
    }

    /// Looks at the account as it truly is.
    pub fn inspect<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let mut state = self.lock();
        let now = self.clock.now();
        state.advance(now);
        look(&state)
    }

    /// Calls this after every change.
    pub fn observe(&self, observer: Observer) {
        self.lock().observer = Some(observer);
    }

    /// How many entries of the history are kept; 0 for none.
    pub fn keep_history(&self, most: usize) {
        self.lock().most_history = most;
    }

    /// Turns every fault off: from now on everything goes well.
    pub fn clear_faults(&self) {
        let mut state = self.lock();
        let page = state.scenario.faults.page;
        state.scenario.faults = Faults { page, lag: 0.0, ..Faults::default() };
        state.zone_out = None;
    }

    /// Lets things happen by themselves also while nobody calls. Ends when it is dropped.
    pub async fn run_events(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                let now = self.clock.now();
                state.advance(now);
                state.next_due().map(|due| (due - now).to_std().unwrap_or_default())
            };
            let pause = next.unwrap_or(std::time::Duration::from_hours(1));
            self.clock.sleep(pause.max(std::time::Duration::from_millis(1))).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advanced(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let now = self.clock.now();
        state.advance(now);
        state
    }
}

/// What a reader saw, for the history.
fn said<T: std::fmt::Debug>(operation: Operation, lag: chrono::TimeDelta, answer: &Result<T>) -> String {
    const MOST: usize = 400;
    let mut text = match answer {
        Ok(value) => format!("{} saw, {} ms old: {value:?}", operation.name, lag.num_milliseconds()),
        Err(error) => format!("{}: {error}", operation.name),
    };
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
    }
    text
}

impl Caller {
    /// Reads, at the age that the call's outcome draws.
    async fn read<T: std::fmt::Debug>(
        &self,
        operation: Operation,
        read: impl FnOnce(&mut State, chrono::DateTime<chrono::Utc>) -> Result<T> + Send,
    ) -> Result<Observed<T>> {
        let outcome = self.cloud.advanced().draw_outcome(operation);
        self.pass(outcome.there).await;
        let answer = {
            let mut state = self.cloud.advanced();
            let now = state.now;
            match outcome.refused {
                Some(error) => Err(error),
                None if !outcome.arrives => Err(faults::no_answer(operation)),
                None => {
                    let answer = read(&mut state, now - outcome.lag);
                    state.note(&self.who, || said(operation, outcome.lag, &answer));
                    answer.map(|value| Observed { value, as_of: Some(now) })
                }
            }
        };
        self.pass(outcome.back).await;
        answer
    }

    /// Changes something: at once, not at all, twice, or without an answer.
    async fn change<T: Send + 'static>(
        &self,
        operation: Operation,
        change: impl FnMut(&mut State, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut change = change;
        let outcome = self.cloud.advanced().draw_outcome(operation);
        self.pass(outcome.there).await;
        let answer = {
            let mut state = self.cloud.advanced();
            match outcome.refused {
                Some(error) => Err(error),
                None if !outcome.arrives => Err(faults::no_answer(operation)),
                None => {
                    let answer = change(&mut state, &self.who);
                    state.note(&self.who, || {
                        let outcome = answer.as_ref().err().map_or("done".to_owned(), ToString::to_string);
                        format!("{}: {outcome}", operation.name)
                    });
                    if let Some(seconds) = outcome.again {
                        let serial = state.next_serial();
                        let who = self.who.clone();
                        // Nobody waits for the answer to the copy.
                        state.replays.insert(serial, Box::new(move |state, _| drop(change(state, &who))));
                        state.schedule_in(seconds, state::Event::Again(serial));
                    }
                    answer
                }
            }
        };
        self.pass(outcome.back).await;
        if outcome.answer_lost { Err(faults::no_answer(operation)) } else { answer }
    }

    async fn pass(&self, time: std::time::Duration) {
        if !time.is_zero() {
            self.cloud.clock.sleep(time).await;
        }
    }
}
