//! Fault injection for one process: calls hang for seconds or hours, and the process crashes before or after a call.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hatchery::clock::Clock;
use hatchery::domain::CloudError;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::Notify;

use crate::cloud_layer::{Call, Hook, LAUNCH};

/// Probability that a call hangs, both before the request and after the response.
const HANG_PROBABILITY: f64 = 0.001;

/// Higher for `RunInstances`, which is rare.
const LAUNCH_HANG_PROBABILITY: f64 = 0.03;

/// Turns the faults of all processes off, and counts them.
#[derive(Default)]
pub(crate) struct FaultSwitch {
    off: AtomicBool,
    hangs: AtomicU64,
    crashes: AtomicU64,
}

impl FaultSwitch {
    pub(crate) fn turn_off(&self) {
        self.off.store(true, Ordering::Relaxed);
    }

    /// Returns the number of injected faults by kind.
    pub(crate) fn faults(&self) -> [(&'static str, u64); 2] {
        [("call hung", &self.hangs), ("engine crashed", &self.crashes)]
            .map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }
}

/// Crashes a process before or after one of its calls.
pub(crate) struct CrashSchedule {
    left: AtomicU64,
    pub(crate) crashed: Notify,
}

impl CrashSchedule {
    /// Crashes after this many fault points. Each call has two.
    pub(crate) fn after(fault_points: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(fault_points), crashed: Notify::new() })
    }

    pub(crate) fn never() -> Arc<Self> {
        Self::after(u64::MAX)
    }

    async fn pass(&self, fault_switch: &FaultSwitch) {
        let less = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) == Err(0) {
            fault_switch.crashes.fetch_add(1, Ordering::Relaxed);
            self.crashed.notify_one();
            // A crashed process never resumes.
            std::future::pending::<()>().await;
        }
    }
}

pub(crate) struct CrashInjector {
    random: Option<Mutex<ChaCha8Rng>>,
    clock: Clock,
    schedule: Arc<CrashSchedule>,
    fault_switch: Arc<FaultSwitch>,
    /// Told when a call of this process hangs, and when it goes on.
    observer: Option<HangObserver>,
}

/// Called with `false` when a process hangs and with `true` when it goes on.
pub(crate) type HangObserver = Arc<dyn Fn(bool) + Send + Sync>;

/// Tells that a process goes on, also if the hanging call is dropped.
struct Hanging<'a>(&'a HangObserver);

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        (self.0)(true);
    }
}

impl CrashInjector {
    pub(crate) fn new(
        hangs: bool,
        seed: u64,
        clock: Clock,
        schedule: Arc<CrashSchedule>,
        fault_switch: Arc<FaultSwitch>,
        observer: Option<HangObserver>,
    ) -> Self {
        Self {
            random: hangs.then(|| Mutex::new(ChaCha8Rng::seed_from_u64(seed))),
            clock,
            schedule,
            fault_switch,
            observer,
        }
    }

    /// The process may crash or the call may hang here.
    async fn fault_point(&self, call: &Call) {
        if !self.fault_switch.off.load(Ordering::Relaxed) {
            self.schedule.pass(&self.fault_switch).await;
            self.hang(call).await;
        }
    }

    /// Log-uniform between 5 s and 5.6 h, so that short and long hangs are equally likely.
    async fn hang(&self, call: &Call) {
        let Some(random) = &self.random else { return };
        let duration = {
            let mut random = random.lock().unwrap();
            let probability =
                if call.operation == LAUNCH { LAUNCH_HANG_PROBABILITY } else { HANG_PROBABILITY };
            random.random_bool(probability).then(|| 5.0 * f64::powf(4_000.0, random.random::<f64>()))
        };
        if let Some(duration) = duration {
            self.fault_switch.hangs.fetch_add(1, Ordering::Relaxed);
            let _hanging = self.observer.as_ref().map(|observer| {
                observer(false);
                Hanging(observer)
            });
            self.clock.sleep(Duration::from_secs_f64(duration)).await;
        }
    }
}

#[async_trait]
impl Hook for CrashInjector {
    async fn before(&self, call: &Call) {
        self.fault_point(call).await;
    }

    async fn after(&self, call: &Call, _: Option<&CloudError>) {
        self.fault_point(call).await;
    }
}
