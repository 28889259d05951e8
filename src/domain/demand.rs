//! A forecast of the launches, and of the databases that they need.
//!
//! Every launch claims a database and triggers its replacement, so the pool is a base-stock system: with `n` databases free or being
//! restored, a launch finds a free one exactly if fewer than `n` launches occurred within the duration of a restore. Their number is
//! modelled as negative binomial, which is a Poisson distribution with an uncertain (gamma distributed) rate.

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc, Weekday};
use chrono_tz::Tz;

use super::launches::Launches;

/// The length of a slot, which is the resolution of the forecast by time of day.
const SLOT_MINUTES: u32 = 15;
const SLOTS_PER_DAY: usize = 96;

/// The age at which the weight of a day is one half.
const HALF_LIFE_DAYS: f64 = 28.0;

/// The weight of the average weekday as a prior for one weekday, in days.
const PRIOR_DAYS: f64 = 2.0;

/// The shape of the gamma distribution of a whole day's rate, which varies with holidays and releases. The launches of the day so far
/// update it.
const DAY_SHAPE: f64 = 4.0;

/// The fraction of the allowed misses below which gains are ignored.
const NEGLIGIBLE: f64 = 0.001;

/// The expected launches by weekday and time of day.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Demand {
    zone: Tz,
    /// The slots of a local week from Monday on.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Slot {
    /// The expected number of launches in the slot.
    rate: f64,
    /// The expected number of launches from the start of the local day to the slot.
    earlier: f64,
    /// The weight of the days from which the rate was estimated.
    days: f64,
}

/// The rate of the current local day, updated by its launches so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Today {
    /// The day number of the common era, as in chrono.
    day: i32,
    /// The factor for the day's rate.
    scale: f64,
    /// The shape of the rate's posterior gamma distribution.
    shape: f64,
}

/// The distribution of the launches within the duration of a restore before a slot.
struct Window {
    /// The expected number of launches in the slot.
    rate: f64,
    /// The mean number of launches within the duration of a restore.
    mean: f64,
    /// The shape of their negative binomial distribution.
    shape: f64,
}

impl Demand {
    /// Estimates the demand from the days before `now`. Returns `None` if the history is shorter than a day.
    #[must_use]
    pub(crate) fn estimate(
        launches: &Launches,
        zone: Tz,
        open: impl Fn(Weekday, u32) -> bool,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let since = launches.since()?;
        if now - since < TimeDelta::days(1) {
            return None;
        }
        let (first, today) = (since.with_timezone(&zone), now.with_timezone(&zone).num_days_from_ce());
        let mut totals = WeightedTotals::new();
        for day in first.num_days_from_ce()..today {
            let from = if day == first.num_days_from_ce() { slot_of_day(&first) } else { 0 };
            totals.add_day(day, from, weight(today - day));
        }
        for launch in launches {
            let at = launch.at.with_timezone(&zone);
            let day = at.num_days_from_ce();
            if day < today {
                totals.add_launch(day, slot_of_day(&at), weight(today - day));
            }
        }
        let mut slots = totals.slots(open);
        for day in slots.chunks_mut(SLOTS_PER_DAY) {
            let mut earlier = 0.0;
            for slot in day {
                slot.earlier = earlier;
                earlier += slot.rate;
            }
        }
        Some(Self { zone, slots })
    }

    /// Updates the rate of the current day by its launches until `until`: those in the history, and `more` that are not in it yet.
    #[must_use]
    pub(crate) fn today(
        &self,
        launches: &Launches,
        more: usize,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Today {
        let day = now.with_timezone(&self.zone).num_days_from_ce();
        let until = until.min(now);
        let local = until.with_timezone(&self.zone);
        let (expected, observed) = if local.num_days_from_ce() == day {
            let slot = &self.slots[index(&local)];
            let since = until - TimeDelta::seconds(local.num_seconds_from_midnight().into());
            let elapsed = f64::from(local.num_seconds_from_midnight() % (SLOT_MINUTES * 60))
                / f64::from(SLOT_MINUTES * 60);
            (slot.earlier + slot.rate * elapsed, launches.count_since(since) + more)
        } else {
            (0.0, 0)
        };
        let observed = as_f64(observed);
        Today { day, scale: (DAY_SHAPE + observed) / (DAY_SHAPE + expected), shape: DAY_SHAPE + observed }
    }

    /// Returns the expected number of launches in a period.
    #[must_use]
    pub(crate) fn expected(&self, from: DateTime<Utc>, length: TimeDelta, today: &Today) -> f64 {
        let step = TimeDelta::minutes(5);
        let steps = length.num_minutes() / step.num_minutes();
        let rate = |n: i64| {
            let at = (from + step * i32::try_from(n).unwrap_or(i32::MAX)).with_timezone(&self.zone);
            let scale = if at.num_days_from_ce() == today.day { today.scale } else { 1.0 };
            self.slots[index(&at)].rate * scale * 5.0 / f64::from(SLOT_MINUTES)
        };
        (0..steps).map(rate).sum()
    }

    /// Returns the largest number of databases, up to `max`, whose last one has a marginal gain of at least `min_gain` at a time.
    #[must_use]
    pub(crate) fn needed(
        &self,
        at: DateTime<Utc>,
        today: &Today,
        restore: TimeDelta,
        min_gain: f64,
        max: u32,
    ) -> u32 {
        let local = at.with_timezone(&self.zone);
        let of_today = Some(today).filter(|today| local.num_days_from_ce() == today.day);
        let window = self.window(index(&local), slots_in(restore), of_today);
        let mut needed = 0;
        for (number, gain) in (1..=max).zip(window.gains()) {
            if gain >= min_gain && gain > 0.0 {
                needed = number;
            }
        }
        needed
    }

    /// Returns the lowest marginal gain, in launches per slot, that a database must have so that the fraction `hit_rate` of a week's
    /// launches find a free one, with `min` to `max` databases; and the fraction that then does. Only open slots count.
    ///
    /// This allocates databases to the slots with the highest gains first, so an idle night gets none while the hit rate can be reached with
    /// fewer database hours by day.
    #[must_use]
    pub(crate) fn min_gain(
        &self,
        open: impl Fn(Weekday, u32) -> bool,
        restore: TimeDelta,
        hit_rate: f64,
        min: u32,
        max: u32,
    ) -> (f64, f64) {
        let width = slots_in(restore);
        let open_slots: Vec<usize> = (0..self.slots.len()).filter(|index| open_at(&open, *index)).collect();
        let total: f64 = open_slots.iter().map(|index| self.slots[*index].rate).sum();
        // All ignored gains together are a negligible part of the allowed misses.
        let negligible = (1.0 - hit_rate) * total * NEGLIGIBLE / as_f64(self.slots.len());
        let mut offers: Vec<(f64, f64)> = Vec::new();
        let (mut reachable, mut served) = (0.0, 0.0);
        for index in open_slots {
            let start = offers.len();
            let window = self.window(index, width, None);
            let is_relevant =
                |number: &u32, gain: &f64| *gain >= negligible || f64::from(*number) <= window.mean;
            for (number, gain) in
                (1..=max).zip(window.gains()).take_while(|(number, gain)| is_relevant(number, gain))
            {
                reachable += gain;
                if number <= min {
                    served += gain;
                } else {
                    offers.push((gain, gain));
                }
            }
            // Gains can rise with the number. A database is then valued as the best one after it, because that one needs it.
            let mut best = 0.0_f64;
            for (value, _) in offers[start..].iter_mut().rev() {
                best = best.max(*value);
                *value = best;
            }
        }
        if total <= 0.0 {
            return (f64::INFINITY, 1.0);
        }
        offers.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut min_gain = f64::INFINITY;
        for (value, gain) in offers {
            if served >= hit_rate * reachable {
                break;
            }
            min_gain = value;
            served += gain;
        }
        (min_gain, served / total)
    }

    /// Returns the distribution of the launches in the `width` slots before the middle of a slot.
    fn window(&self, index: usize, width: f64, today: Option<&Today>) -> Window {
        let slot = &self.slots[index];
        let count = self.slots.len();
        let (mut mean, mut remaining, mut at) = (0.0, width, index);
        let mut part = 0.5_f64.min(remaining);
        while remaining > 0.0 {
            mean += self.slots[at].rate * part;
            remaining -= part;
            part = remaining.min(1.0);
            at = (at + count - 1) % count;
        }
        let (scale, day) = today.map_or((1.0, DAY_SHAPE + slot.earlier), |today| (today.scale, today.shape));
        // The variances of two uncertainties add up: that of the estimated average, and that of the day around it.
        let average = 0.5 + mean * slot.days;
        Window { rate: slot.rate * scale, mean: mean * scale, shape: 1.0 / (1.0 / average + 1.0 / day) }
    }
}

impl Window {
    /// Returns the marginal gain of the k-th database for k = 1, 2 …, in launches per slot: `rate × P(N = k − 1)`, where N is negative
    /// binomial with this mean and shape.
    fn gains(&self) -> impl Iterator<Item = f64> {
        let ratio = self.mean / (self.shape + self.mean);
        let first = (self.shape * (1.0 - ratio).ln()).exp() * self.rate;
        let shape = self.shape;
        std::iter::successors(Some((0.0, first)), move |(count, gain)| {
            Some((count + 1.0, gain * (count + shape) / (count + 1.0) * ratio))
        })
        .map(|(_, gain)| gain)
    }
}

/// Launches and days by slot of the week, weighted by their age.
struct WeightedTotals {
    launches: Vec<f64>,
    days: Vec<f64>,
}

impl WeightedTotals {
    fn new() -> Self {
        Self { launches: vec![0.0; 7 * SLOTS_PER_DAY], days: vec![0.0; 7 * SLOTS_PER_DAY] }
    }

    fn index(day: i32, slot: usize) -> usize {
        // Day 1 of the common era is a Monday.
        usize::try_from((day - 1).rem_euclid(7)).unwrap_or_default() * SLOTS_PER_DAY + slot
    }

    fn add_day(&mut self, day: i32, from: usize, weight: f64) {
        for slot in from..SLOTS_PER_DAY {
            self.days[Self::index(day, slot)] += weight;
        }
    }

    fn add_launch(&mut self, day: i32, slot: usize, weight: f64) {
        self.launches[Self::index(day, slot)] += weight;
    }

    /// Estimates each slot's rate from its own launches, with the same time on the average weekday as a prior.
    fn slots(&self, open: impl Fn(Weekday, u32) -> bool) -> Vec<Slot> {
        let overall = self.launches.iter().sum::<f64>() / self.days.iter().sum::<f64>().max(1.0);
        let any_day: Vec<f64> = (0..SLOTS_PER_DAY)
            .map(|slot| {
                let total =
                    |values: &[f64]| (0..7).map(|day| values[day * SLOTS_PER_DAY + slot]).sum::<f64>();
                let days = total(&self.days);
                if days > 0.0 { total(&self.launches) / days } else { overall }
            })
            .collect();
        let any_day = smooth(&any_day, 3);
        let own = smooth(&self.launches, 1);
        // No open slot has a rate of zero, even if it never had a launch.
        let open_days: f64 = (0..own.len())
            .filter(|slot| open_at(&open, *slot))
            .map(|slot| self.days[slot] + PRIOR_DAYS)
            .sum();
        let floor = 1.0 / open_days.max(1.0);
        let mut slots = Vec::with_capacity(own.len());
        for day in 0..7 {
            let range = day * SLOTS_PER_DAY..(day + 1) * SLOTS_PER_DAY;
            let expected: f64 =
                range.clone().map(|slot| self.days[slot] * any_day[slot % SLOTS_PER_DAY]).sum();
            let level = (1.0 + self.launches[range.clone()].iter().sum::<f64>()) / (1.0 + expected);
            slots.extend(range.map(|slot| {
                let days = self.days[slot] + PRIOR_DAYS;
                let prior = PRIOR_DAYS * level * any_day[slot % SLOTS_PER_DAY];
                Slot { rate: (own[slot] + prior) / days + floor, earlier: 0.0, days }
            }));
        }
        slots
    }
}

/// Convolves cyclic values with a triangular kernel that reaches `reach` values to both sides.
fn smooth(values: &[f64], reach: usize) -> Vec<f64> {
    let count = values.len();
    let total = as_f64((reach + 1) * (reach + 1));
    let around = |at: usize| {
        let weighted = |step: usize| {
            let sides = values[(at + step) % count] + values[(at + count - step) % count];
            sides * as_f64(reach + 1 - step)
        };
        (values[at] * as_f64(reach + 1) + (1..=reach).map(weighted).sum::<f64>()) / total
    };
    (0..count).map(around).collect()
}

fn weight(age_days: i32) -> f64 {
    (-f64::from(age_days) / HALF_LIFE_DAYS).exp2()
}

fn slot_of_day(at: &DateTime<Tz>) -> usize {
    (at.num_seconds_from_midnight() / 60 / SLOT_MINUTES) as usize
}

fn index(at: &DateTime<Tz>) -> usize {
    at.weekday().num_days_from_monday() as usize * SLOTS_PER_DAY + slot_of_day(at)
}

fn open_at(open: &impl Fn(Weekday, u32) -> bool, index: usize) -> bool {
    let (day, slot) = (index / SLOTS_PER_DAY, index % SLOTS_PER_DAY);
    let number = |value: usize| u8::try_from(value).unwrap_or_default();
    Weekday::try_from(number(day)).is_ok_and(|day| open(day, u32::from(number(slot)) * SLOT_MINUTES))
}

fn slots_in(length: TimeDelta) -> f64 {
    length.as_seconds_f64() / f64::from(SLOT_MINUTES * 60)
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
