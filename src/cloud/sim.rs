//! The simulated cloud: a small, honest model of EC2, RDS, CloudWatch Logs and the image pipeline behind the port.
//!
//! Time is a [`Clock`]'s, randomness a seeded generator's: on tokio's paused clock one seed always gives the same history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::cloud::{DynCloud, Result, Seen};

mod answers;
mod api;
mod begin;
mod fate;
mod happen;
mod kinds;
mod logs;
mod rules;
mod scenario;
mod state;
mod versions;

pub use scenario::{Faults, Latency, Promise, Resident, Scenario};
pub use state::{Change, Entry, LaunchData, Machine, Observer, Rds, State, Template};

use fate::Kind;

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
        state.begin();
        Self { state: Arc::new(Mutex::new(state)), clock, region }
    }

    /// The port for one caller, whose name is in the history.
    #[must_use]
    pub fn caller(&self, who: impl Into<String>) -> DynCloud {
        Arc::new(Caller { cloud: self.clone(), who: who.into() })
    }

    /// Looks at the account as it truly is.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
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
    pub fn calm(&self) {
        let mut state = self.lock();
        let page = state.scenario.faults.page;
        state.scenario.faults = Faults { page, lag: 0.0, ..Faults::default() };
        state.zone_out = None;
    }

    /// Lets things happen by themselves also while nobody calls. Ends when it is dropped.
    pub async fn live(&self) {
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
fn said<T: std::fmt::Debug>(kind: Kind, lag: chrono::TimeDelta, answer: &Result<T>) -> String {
    const MOST: usize = 400;
    let mut text = match answer {
        Ok(value) => format!("{} saw, {} ms old: {value:?}", kind.operation, lag.num_milliseconds()),
        Err(error) => format!("{}: {error}", kind.operation),
    };
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
    }
    text
}

impl Caller {
    /// Reads, at the age that the call's fate draws.
    async fn read<T: std::fmt::Debug>(
        &self,
        kind: Kind,
        read: impl FnOnce(&mut State, chrono::DateTime<chrono::Utc>) -> Result<T> + Send,
    ) -> Result<Seen<T>> {
        let fate = self.cloud.advanced().fate(kind);
        self.pass(fate.there).await;
        let answer = {
            let mut state = self.cloud.advanced();
            let now = state.now;
            match fate.refused {
                Some(error) => Err(error),
                None if !fate.arrives => Err(fate::no_answer(kind)),
                None => {
                    let answer = read(&mut state, now - fate.lag);
                    state.note(&self.who, || said(kind, fate.lag, &answer));
                    answer.map(|value| Seen { value, as_of: Some(now) })
                }
            }
        };
        self.pass(fate.back).await;
        answer
    }

    /// Changes something: at once, not at all, twice, or without an answer.
    async fn change<T: Send + 'static>(
        &self,
        kind: Kind,
        change: impl FnMut(&mut State, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut change = change;
        let fate = self.cloud.advanced().fate(kind);
        self.pass(fate.there).await;
        let answer = {
            let mut state = self.cloud.advanced();
            match fate.refused {
                Some(error) => Err(error),
                None if !fate.arrives => Err(fate::no_answer(kind)),
                None => {
                    let answer = change(&mut state, &self.who);
                    state.note(&self.who, || {
                        let outcome = answer.as_ref().err().map_or("done".to_owned(), ToString::to_string);
                        format!("{}: {outcome}", kind.operation)
                    });
                    if let Some(seconds) = fate.again {
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
        self.pass(fate.back).await;
        if fate.answer_lost { Err(fate::no_answer(kind)) } else { answer }
    }

    async fn pass(&self, time: std::time::Duration) {
        if !time.is_zero() {
            self.cloud.clock.sleep(time).await;
        }
    }
}
