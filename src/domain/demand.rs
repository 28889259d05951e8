//! What launches are to be expected, learnt from those of the last weeks, and how many databases they need.
//!
//! Every launch takes a database and has it replaced at once, so the pool is a base-stock system: of `n` databases that are
//! free or on their way one is free for a launch exactly if fewer than `n` launches came within the last restore's time.
//! How many came is taken to be negative binomial: Poisson, with a rate that is not known for certain.

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc, Weekday};
use chrono_tz::Tz;

use super::launches::Launches;

/// Minutes in a slot: times of day are compared in steps of this.
const SLOT_MINUTES: u32 = 15;
const SLOTS_A_DAY: usize = 96;

/// The age at which a day counts half.
const HALF_LIFE_DAYS: f64 = 28.0;

/// How many days' worth the other weekdays say about a weekday.
const OTHER_DAYS: f64 = 2.0;

/// How much whole days differ for reasons that nobody tells us: holidays, releases. The rate of a day is taken to be
/// gamma distributed with this shape, and what has been seen of the day corrects it.
const DAY_SHAPE: f64 = 4.0;

/// The share of the allowed misses that is not worth looking for.
const NEGLIGIBLE: f64 = 0.001;

/// What launches are to be expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    zone: Tz,
    /// For each slot of a local week, Monday's first.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Slot {
    /// Launches expected.
    rate: f64,
    /// Launches expected since the local day began.
    earlier: f64,
    /// How many days it is learnt from.
    days: f64,
}

/// What is known of a local day so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Today {
    /// The day's number, as chrono counts.
    day: i32,
    /// By how much the day's rate is corrected.
    scale: f64,
    /// The shape of what the rate may yet turn out to be.
    shape: f64,
}

/// Launches that may come within one restore's time before an instant, and how many are expected around it.
struct Window {
    /// Launches expected in a slot's time.
    rate: f64,
    /// The mean of the launches within the restore's time.
    mean: f64,
    /// The shape of their negative binomial distribution.
    shape: f64,
}

impl Demand {
    /// Learns from the days before `now`'s. `None` where there is not even a whole day of them.
    #[must_use]
    pub fn learn(
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
        let mut seen = Seen::new();
        for day in first.num_days_from_ce()..today {
            let from = if day == first.num_days_from_ce() { slot_of_day(&first) } else { 0 };
            seen.expose(day, from, weight(today - day));
        }
        for launch in launches {
            let at = launch.at.with_timezone(&zone);
            let day = at.num_days_from_ce();
            if day < today {
                seen.count(day, slot_of_day(&at), weight(today - day));
            }
        }
        let mut slots = seen.slots(open);
        for day in slots.chunks_mut(SLOTS_A_DAY) {
            let mut earlier = 0.0;
            for slot in day {
                slot.earlier = earlier;
                earlier += slot.rate;
            }
        }
        Some(Self { zone, slots })
    }

    /// What the launches of `now`'s day tell of the day: those that are known, and so many `more` of which only the number is
    /// known. `until` is the end of what either knows.
    #[must_use]
    pub fn today(&self, launches: &Launches, more: usize, until: DateTime<Utc>, now: DateTime<Utc>) -> Today {
        let day = now.with_timezone(&self.zone).num_days_from_ce();
        let until = until.min(now);
        let local = until.with_timezone(&self.zone);
        let (expected, came) = if local.num_days_from_ce() == day {
            let slot = &self.slots[index(&local)];
            let since = until - TimeDelta::seconds(local.num_seconds_from_midnight().into());
            let part = f64::from(local.num_seconds_from_midnight() % (SLOT_MINUTES * 60))
                / f64::from(SLOT_MINUTES * 60);
            (slot.earlier + slot.rate * part, launches.count_since(since) + more)
        } else {
            (0.0, 0)
        };
        let came = as_f64(came);
        Today { day, scale: (DAY_SHAPE + came) / (DAY_SHAPE + expected), shape: DAY_SHAPE + came }
    }

    /// Launches expected from an instant on for this long.
    #[must_use]
    pub fn expected(&self, from: DateTime<Utc>, length: TimeDelta, today: &Today) -> f64 {
        let step = TimeDelta::minutes(5);
        let steps = length.num_minutes() / step.num_minutes();
        let rate = |n: i64| {
            let at = (from + step * i32::try_from(n).unwrap_or(i32::MAX)).with_timezone(&self.zone);
            let scale = if at.num_days_from_ce() == today.day { today.scale } else { 1.0 };
            self.slots[index(&at)].rate * scale * 5.0 / f64::from(SLOT_MINUTES)
        };
        (0..steps).map(rate).sum()
    }

    /// The least number of databases at an instant of which the last one is still worth its price.
    #[must_use]
    pub fn needed(&self, at: DateTime<Utc>, today: &Today, restore: TimeDelta, price: f64, most: u32) -> u32 {
        let local = at.with_timezone(&self.zone);
        let of_today = Some(today).filter(|today| local.num_days_from_ce() == today.day);
        let window = self.window(index(&local), slots_in(restore), of_today);
        let mut needed = 0;
        for (number, gain) in (1..=most).zip(window.gains()) {
            if gain >= price && gain > 0.0 {
                needed = number;
            }
        }
        needed
    }

    /// The price in launches a slot at which a week's launches find a database as often as is wanted, with numbers from `least` to
    /// `most`; and how often they then do, from 0 to 1. Only slots that are open count.
    ///
    /// Databases are bought where they serve most launches for their time, so an idle night does not get one as long as the wanted
    /// rate can be had more cheaply by day.
    #[must_use]
    pub fn price(
        &self,
        open: impl Fn(Weekday, u32) -> bool,
        restore: TimeDelta,
        wanted: f64,
        least: u32,
        most: u32,
    ) -> (f64, f64) {
        let width = slots_in(restore);
        let opened: Vec<usize> = (0..self.slots.len()).filter(|index| open_at(&open, *index)).collect();
        let all: f64 = opened.iter().map(|index| self.slots[*index].rate).sum();
        // All that is left out together is next to nothing of the misses that are allowed.
        let negligible = (1.0 - wanted) * all * NEGLIGIBLE / as_f64(self.slots.len());
        let mut offers: Vec<(f64, f64)> = Vec::new();
        let (mut reachable, mut served) = (0.0, 0.0);
        for index in opened {
            let begun = offers.len();
            let window = self.window(index, width, None);
            let matter = |number: &u32, gain: &f64| *gain >= negligible || f64::from(*number) <= window.mean;
            for (number, gain) in
                (1..=most).zip(window.gains()).take_while(|(number, gain)| matter(number, gain))
            {
                reachable += gain;
                if number <= least {
                    served += gain;
                } else {
                    offers.push((gain, gain));
                }
            }
            // One more is never offered at less than the one after it: where the first are worth little by themselves, they are
            // bought for the sake of the next.
            let mut best = 0.0_f64;
            for (value, _) in offers[begun..].iter_mut().rev() {
                best = best.max(*value);
                *value = best;
            }
        }
        if all <= 0.0 {
            return (f64::INFINITY, 1.0);
        }
        offers.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut price = f64::INFINITY;
        for (value, gain) in offers {
            if served >= wanted * reachable {
                break;
            }
            price = value;
            served += gain;
        }
        (price, served / all)
    }

    /// What may come within `width` slots before the middle of one.
    fn window(&self, index: usize, width: f64, today: Option<&Today>) -> Window {
        let slot = &self.slots[index];
        let count = self.slots.len();
        let (mut mean, mut left, mut at) = (0.0, width, index);
        let mut part = 0.5_f64.min(left);
        while left > 0.0 {
            mean += self.slots[at].rate * part;
            left -= part;
            part = left.min(1.0);
            at = (at + count - 1) % count;
        }
        let (scale, day) = today.map_or((1.0, DAY_SHAPE + slot.earlier), |today| (today.scale, today.shape));
        // Two things are not certain, and their variances add up: what is usual, and how usual the day is.
        let usual = 0.5 + mean * slot.days;
        Window { rate: slot.rate * scale, mean: mean * scale, shape: 1.0 / (1.0 / usual + 1.0 / day) }
    }
}

impl Window {
    /// How many launches a slot the first, the second, the third … database serves: those that come after none, one, two … others.
    fn gains(&self) -> impl Iterator<Item = f64> {
        let ratio = self.mean / (self.shape + self.mean);
        let none = (self.shape * (1.0 - ratio).ln()).exp() * self.rate;
        let shape = self.shape;
        std::iter::successors(Some((0.0, none)), move |(others, gain)| {
            Some((others + 1.0, gain * (others + shape) / (others + 1.0) * ratio))
        })
        .map(|(_, gain)| gain)
    }
}

/// Launches by slot, weighted by their age.
struct Seen {
    /// For each slot of the week: the weight of the launches in it, and of the days on which it was there.
    launches: Vec<f64>,
    days: Vec<f64>,
}

impl Seen {
    fn new() -> Self {
        Self { launches: vec![0.0; 7 * SLOTS_A_DAY], days: vec![0.0; 7 * SLOTS_A_DAY] }
    }

    fn place(day: i32, slot: usize) -> usize {
        // Day 1 of the common era was a Monday.
        usize::try_from((day - 1).rem_euclid(7)).unwrap_or_default() * SLOTS_A_DAY + slot
    }

    fn expose(&mut self, day: i32, from: usize, weight: f64) {
        for slot in from..SLOTS_A_DAY {
            self.days[Self::place(day, slot)] += weight;
        }
    }

    fn count(&mut self, day: i32, slot: usize, weight: f64) {
        self.launches[Self::place(day, slot)] += weight;
    }

    /// Each slot's own launches, and what other weekdays at the same time of day have: the more the fewer days the slot has.
    fn slots(&self, open: impl Fn(Weekday, u32) -> bool) -> Vec<Slot> {
        let anywhere = self.launches.iter().sum::<f64>() / self.days.iter().sum::<f64>().max(1.0);
        let any_day: Vec<f64> = (0..SLOTS_A_DAY)
            .map(|slot| {
                let of = |values: &[f64]| (0..7).map(|day| values[day * SLOTS_A_DAY + slot]).sum::<f64>();
                let days = of(&self.days);
                if days > 0.0 { of(&self.launches) / days } else { anywhere }
            })
            .collect();
        let any_day = smooth(&any_day, 3);
        let own = smooth(&self.launches, 1);
        // A launch at a time that has never had one must be possible.
        let opened: f64 = (0..own.len())
            .filter(|slot| open_at(&open, *slot))
            .map(|slot| self.days[slot] + OTHER_DAYS)
            .sum();
        let surprise = 1.0 / opened.max(1.0);
        let mut slots = Vec::with_capacity(own.len());
        for day in 0..7 {
            let range = day * SLOTS_A_DAY..(day + 1) * SLOTS_A_DAY;
            let usual: f64 = range.clone().map(|slot| self.days[slot] * any_day[slot % SLOTS_A_DAY]).sum();
            let level = (1.0 + self.launches[range.clone()].iter().sum::<f64>()) / (1.0 + usual);
            slots.extend(range.map(|slot| {
                let days = self.days[slot] + OTHER_DAYS;
                let others = OTHER_DAYS * level * any_day[slot % SLOTS_A_DAY];
                Slot { rate: (own[slot] + others) / days + surprise, earlier: 0.0, days }
            }));
        }
        slots
    }
}

/// Spreads each value over its neighbours, as a triangle of `reach` on both sides; the ends meet.
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

fn weight(days: i32) -> f64 {
    (-f64::from(days) / HALF_LIFE_DAYS).exp2()
}

fn slot_of_day(at: &DateTime<Tz>) -> usize {
    (at.num_seconds_from_midnight() / 60 / SLOT_MINUTES) as usize
}

fn index(at: &DateTime<Tz>) -> usize {
    at.weekday().num_days_from_monday() as usize * SLOTS_A_DAY + slot_of_day(at)
}

fn open_at(open: &impl Fn(Weekday, u32) -> bool, index: usize) -> bool {
    let (day, slot) = (index / SLOTS_A_DAY, index % SLOTS_A_DAY);
    let number = |value: usize| u8::try_from(value).unwrap_or_default();
    Weekday::try_from(number(day)).is_ok_and(|day| open(day, u32::from(number(slot)) * SLOT_MINUTES))
}

fn slots_in(length: TimeDelta) -> f64 {
    length.as_seconds_f64() / f64::from(SLOT_MINUTES * 60)
}

#[allow(clippy::cast_precision_loss)] // launches of weeks
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
