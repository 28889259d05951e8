//! The arithmetic of the forecast, against values calculated by hand and the textbook's formulas.

#![allow(clippy::float_cmp)] // only where the arithmetic is exact

use std::iter::zip;

use chrono_tz::Europe::Berlin;

use super::super::launches::Launch;
use super::*;

const SLOTS: usize = 7 * SLOTS_PER_DAY;

/// A time in March 2026, whose second day is a Monday.
fn at(text: &str) -> DateTime<Utc> {
    format!("2026-03-{text}Z").parse().unwrap()
}

fn at_all_hours(_: Weekday, _: u32) -> bool {
    true
}

#[track_caller]
fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} is not {b}");
}

/// The same rate at all hours, in UTC.
fn steady(rate: f64) -> Demand {
    rates(Tz::UTC, |_| rate)
}

fn rates(zone: Tz, of: impl Fn(usize) -> f64) -> Demand {
    let mut slots = Vec::new();
    let mut earlier = 0.0;
    for index in 0..SLOTS {
        if index % SLOTS_PER_DAY == 0 {
            earlier = 0.0;
        }
        slots.push(Slot { rate: of(index), earlier, days: 3.0 });
        earlier += of(index);
    }
    Demand { zone, slots }
}

/// A day without observations.
const OTHER_DAY: Today = Today { day: 0, scale: 1.0, shape: DAY_SHAPE };

fn totals(days: &[(i32, usize, f64)], launches: &[(i32, usize, f64)]) -> WeightedTotals {
    let mut totals = WeightedTotals::new();
    for (day, from, weight) in days {
        totals.add_day(*day, *from, *weight);
    }
    for (day, slot, weight) in launches {
        totals.add_launch(*day, *slot, *weight);
    }
    totals
}

#[test]
fn smooth_is_cyclic_and_triangular() {
    assert_eq!(smooth(&[0.0, 0.0, 4.0, 0.0, 0.0], 1), [0.0, 1.0, 2.0, 1.0, 0.0]);
    assert_eq!(smooth(&[4.0, 0.0, 0.0, 0.0, 0.0], 1), [2.0, 1.0, 0.0, 0.0, 1.0]);
    let wide = smooth(&[0.0, 0.0, 0.0, 0.0, 16.0, 0.0, 0.0, 0.0, 0.0], 3);
    assert_eq!(wide, [0.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
}

#[test]
fn weight_halves_every_four_weeks() {
    assert_eq!([0, 28, 56].map(weight), [1.0, 0.5, 0.25]);
}

#[test]
fn slots_are_indexed_by_local_weekday_and_time() {
    let monday = at("02T00:00:00").num_days_from_ce();
    assert_eq!(WeightedTotals::index(monday, 0), 0);
    assert_eq!(WeightedTotals::index(monday + 1, 5), SLOTS_PER_DAY + 5);
    assert_eq!(WeightedTotals::index(monday - 1, 95), SLOTS - 1);
    let local = |text| at(text).with_timezone(&Berlin);
    assert_eq!(index(&local("02T10:44:59")), 11 * 4 + 2);
    assert_eq!(index(&local("03T23:10:00")), 2 * SLOTS_PER_DAY, "a Wednesday in Berlin");
    let opened: Vec<_> = (0..SLOTS)
        .filter(|index| open_at(&|day, minute| day == Weekday::Tue && minute == 9 * 60 + 45, *index))
        .collect();
    assert_eq!(opened, [SLOTS_PER_DAY + 39]);
}

#[test]
fn rate_is_own_launches_with_other_weekdays_as_prior() {
    // Three Mondays (day 1) with six launches at ten.
    let slots = totals(&[(1, 0, 3.0)], &[(1, 40, 6.0)]).slots(at_all_hours);
    let floor = 1.0 / (96.0 * 5.0 + 6.0 * 96.0 * 2.0);
    close(slots[40].rate, (3.0 + 2.0 * 0.5) / 5.0 + floor);
    close(slots[41].rate, (1.5 + 2.0 * 0.375) / 5.0 + floor);
    close(slots[60].rate, floor);
    close(slots[SLOTS_PER_DAY + 40].rate, 2.0 * 0.5 / 2.0 + floor);
    assert_eq!((slots[40].days, slots[SLOTS_PER_DAY + 40].days), (5.0, 2.0));
}

#[test]
fn prior_is_scaled_by_the_weekday_level() {
    let slots = totals(&[(1, 0, 3.0), (2, 0, 3.0)], &[(1, 40, 6.0)]).slots(at_all_hours);
    let floor = 1.0 / (2.0 * 96.0 * 5.0 + 5.0 * 96.0 * 2.0);
    // The average weekday has three launches; Monday had six and Tuesday none.
    close(slots[40].rate, (3.0 + 2.0 * (7.0 / 4.0) * 0.25) / 5.0 + floor);
    close(slots[SLOTS_PER_DAY + 40].rate, 2.0 * (1.0 / 4.0) * 0.25 / 5.0 + floor);
}

#[test]
fn unobserved_time_of_day_gets_the_overall_rate() {
    let slots = totals(&[(1, 50, 1.0)], &[(1, 60, 23.0)]).slots(at_all_hours);
    let floor = 1.0 / (96.0 * 2.0 * 7.0 + 46.0);
    let overall = 23.0 / 46.0;
    // Tuesday has no launches, so its level is one.
    close(slots[SLOTS_PER_DAY + 10].rate, 2.0 * overall / 2.0 + floor);
    // Without any observation, only the floor remains.
    close(totals(&[], &[]).slots(at_all_hours)[0].rate, 1.0 / (672.0 * 2.0));
    // A weight of half a day.
    let slots = totals(&[(1, 95, 0.5)], &[(1, 95, 0.5)]).slots(at_all_hours);
    close(slots[SLOTS_PER_DAY + 40].rate, 0.5 + 1.0 / (672.0 * 2.0 + 0.5));
}

#[test]
fn floor_is_spread_over_open_slots() {
    let slots = totals(&[(1, 0, 3.0)], &[]).slots(|day, minute| day == Weekday::Mon && minute < 60);
    close(slots[200].rate, 1.0 / (4.0 * 5.0));
    close(totals(&[], &[]).slots(|_, _| false)[0].rate, 1.0);
}

#[test]
fn estimate_weights_days_by_age_without_today() {
    let now = at("04T12:00:00");
    let launch = |text| Launch { at: at(text), restore: None, loaded: None };
    let times = ["02T10:07:00", "02T18:00:00", "03T10:01:00", "03T23:59:59", "04T00:00:00", "04T11:00:00"];
    let launches = Launches::new(at("01T00:00:00"), now, times.map(launch).to_vec());
    let demand = Demand::estimate(&launches, Tz::UTC, at_all_hours, now).unwrap();
    let (monday, tuesday) = (weight(2), weight(1));
    let days = [(1, 40, monday), (2, 0, tuesday)];
    let launches_by_slot = [(1, 40, monday), (1, 72, monday), (2, 40, tuesday), (2, 95, tuesday)];
    let expected = totals(&days, &launches_by_slot).slots(at_all_hours);
    for (index, (found, wanted)) in zip(&demand.slots, &expected).enumerate() {
        close(found.rate, wanted.rate);
        close(found.days, wanted.days);
        let since_midnight = index - index % SLOTS_PER_DAY..index;
        close(found.earlier, expected[since_midnight].iter().map(|slot| slot.rate).sum());
    }
}

#[test]
fn estimate_needs_a_whole_day() {
    let first = Launch { at: at("02T10:00:00"), restore: None, loaded: None };
    let estimate = |until: DateTime<Utc>| {
        let launches = Launches::new(at("01T00:00:00"), until, vec![first]);
        Demand::estimate(&launches, Tz::UTC, at_all_hours, until)
    };
    assert_eq!(estimate(at("03T09:59:59")), None);
    assert_ne!(estimate(at("03T10:00:00")), None);
    let none = Launches::new(at("01T00:00:00"), at("09T00:00:00"), Vec::new());
    assert_eq!(Demand::estimate(&none, Tz::UTC, at_all_hours, at("09T00:00:00")), None);
}

#[test]
fn launches_of_today_update_its_rate() {
    // 10:05 in Berlin, a third into slot 40.
    let demand = rates(Berlin, |index| if index % 2 == 0 { 0.5 } else { 1.0 });
    let now = at("02T09:05:00");
    let launch = |text| Launch { at: at(text), restore: None, loaded: None };
    // The first one is on the day before in Berlin.
    let times = ["01T22:59:59", "01T23:00:00", "02T08:00:00"].map(launch).to_vec();
    let launches = Launches::new(at("01T00:00:00"), now, times);
    let day = now.num_days_from_ce();

    let today = demand.today(&launches, 3, now, now);
    let expected = 20.0 * 1.5 + 0.5 / 3.0;
    assert_eq!((today.day, today.shape), (day, 9.0));
    close(today.scale, 9.0 / (4.0 + expected));
    // A later end of the observations is limited to now.
    assert_eq!(demand.today(&launches, 3, at("02T12:00:00"), now), today);

    let until_two = demand.today(&launches, 0, at("02T01:00:00"), now);
    close(until_two.scale, 6.0 / (4.0 + 4.0 * 1.5));
    // Observations that end on the day before do not update today.
    let unknown = demand.today(&launches, 3, at("01T22:00:00"), now);
    assert_eq!(unknown, Today { day, scale: 1.0, shape: 4.0 });
}

#[test]
fn expected_scales_only_today() {
    let demand = steady(0.6);
    let double = Today { day: at("02T00:00:00").num_days_from_ce(), scale: 2.0, shape: 4.0 };
    let from = |text, minutes| demand.expected(at(text), TimeDelta::minutes(minutes), &double);
    close(from("03T10:00:00", 60), 4.0 * 0.6);
    close(from("02T10:00:00", 60), 2.0 * 4.0 * 0.6);
    close(from("02T23:30:00", 60), 3.0 * 2.0 * 0.6);
    close(from("02T10:00:00", 0), 0.0);
    let morning = rates(Tz::UTC, |index| if index % SLOTS_PER_DAY == 40 { 3.0 } else { 0.0 });
    close(morning.expected(at("03T09:50:00"), TimeDelta::minutes(20), &OTHER_DAY), 2.0);
}

#[test]
fn window_ends_in_the_middle_of_its_slot() {
    let powers = |index: usize| if index < 5 { f64::from(1 << index) } else { 0.0 };
    let mut demand = rates(Tz::UTC, powers);
    demand.slots[SLOTS - 1].rate = 100.0;
    let mean = |index, width| demand.window(index, width, None).mean;
    close(mean(4, 0.0), 0.0);
    close(mean(4, 0.25), 4.0);
    close(mean(4, 0.5), 8.0);
    close(mean(4, 1.0), 8.0 + 4.0);
    close(mean(4, 2.75), 8.0 + 8.0 + 4.0 + 0.5);
    close(mean(0, 1.5), 0.5 + 100.0);
}

#[test]
fn window_combines_both_uncertainties() {
    let demand = rates(Tz::UTC, |index| if index < 2 { 4.0 } else { 1.0 });
    let average = 0.5 + 6.0 * 3.0;
    let any_day = demand.window(1, 1.5, None);
    close(any_day.rate, 4.0);
    close(any_day.mean, 6.0);
    close(any_day.shape, 1.0 / (1.0 / average + 1.0 / (DAY_SHAPE + 4.0)));
    let today = Today { day: 1, scale: 0.5, shape: 7.0 };
    let of_today = demand.window(1, 1.5, Some(&today));
    close(of_today.rate, 2.0);
    close(of_today.mean, 3.0);
    close(of_today.shape, 1.0 / (1.0 / average + 1.0 / 7.0));
}

/// The textbook's probability mass function of the negative binomial distribution, for an integer shape.
fn negative_binomial(count: u32, mean: f64, shape: u32) -> f64 {
    let success = mean / (f64::from(shape) + mean);
    let choose = (1..=count).map(|k| f64::from(shape + k - 1) / f64::from(k)).product::<f64>();
    choose * success.powi(count.cast_signed()) * (1.0 - success).powi(shape.cast_signed())
}

#[test]
fn gains_are_negative_binomial() {
    let window = Window { rate: 2.0, mean: 3.0, shape: 4.0 };
    for (number, gain) in (0..40).zip(window.gains()) {
        close(gain, 2.0 * negative_binomial(number, 3.0, 4));
    }
    close(window.gains().take(200).sum(), 2.0);
}

#[test]
fn needed_is_the_last_database_above_min_gain() {
    let demand = steady(1.0);
    let at = at("02T10:00:00");
    let restore = TimeDelta::minutes(30);
    let gains: Vec<f64> = demand.window(40, 2.0, None).gains().take(12).collect();
    for (min_gain, max) in [(gains[3], 12), (gains[3] * 1.001, 12), (gains[3], 2), (0.0, 9), (5.0, 9)] {
        let expected = gains.iter().take(max).rposition(|gain| *gain >= min_gain).map_or(0, |last| last + 1);
        let max = u32::try_from(max).unwrap();
        let needed = demand.needed(at, &OTHER_DAY, restore, min_gain, max);
        assert_eq!(usize::try_from(needed).unwrap(), expected, "{min_gain}");
    }
    // The observations of a day count only for that day.
    let busy = Today { day: at.num_days_from_ce(), scale: 3.0, shape: 20.0 };
    let needed_on = |today| demand.needed(at, today, restore, 0.05, 50);
    assert!(needed_on(&busy) > needed_on(&OTHER_DAY));
    assert_eq!(needed_on(&OTHER_DAY), needed_on(&Today { day: at.num_days_from_ce() - 1, ..busy }));
    assert_eq!(steady(0.0).needed(at, &OTHER_DAY, restore, 0.0, 5), 0, "without demand");
}

/// Returns the hit rate of a week's launches with every database above a marginal gain.
fn rate_at(
    demand: &Demand,
    open: impl Fn(usize) -> bool,
    width: f64,
    min_gain: f64,
    min: u32,
    max: u32,
) -> f64 {
    let (mut served, mut total) = (0.0, 0.0);
    for index in (0..SLOTS).filter(|index| open(*index)) {
        let gains: Vec<f64> = demand.window(index, width, None).gains().take(max as usize).collect();
        let count = gains.iter().rposition(|gain| *gain >= min_gain).map_or(0, |last| last + 1);
        served += gains.iter().take(count.max(min as usize)).sum::<f64>();
        total += demand.slots[index].rate;
    }
    served / total
}

#[test]
fn min_gain_is_the_highest_that_reaches_the_hit_rate() {
    // Every slot has another rate, so that no two gains are equal.
    let demand = rates(Tz::UTC, |index| {
        let (day, slot) = (index / SLOTS_PER_DAY, index % SLOTS_PER_DAY);
        let peak = if (36..60).contains(&slot) && day < 5 { 2.0 } else { 0.05 };
        peak * (1.0 + as_f64(index) / 5_000.0)
    });
    let restore = TimeDelta::minutes(20);
    let width = 20.0 / 15.0;
    let by_day = |_: Weekday, minute: u32| (7 * 60..19 * 60).contains(&minute);
    let is_day = |index: usize| (28..76).contains(&(index % SLOTS_PER_DAY));
    for (wanted, min, max) in [(0.5, 0, 50), (0.9, 0, 50), (0.99, 0, 50), (0.995, 2, 50), (0.9, 0, 30)] {
        let (min_gain, rate) = demand.min_gain(by_day, restore, wanted, min, max);
        let found = rate_at(&demand, is_day, width, min_gain, min, max);
        assert!((found - rate).abs() < 1e-3, "{wanted}: returned {rate}, calculated {found}");
        assert!(rate >= wanted - 1e-3, "{wanted}: {rate}");
        let fewer = rate_at(&demand, is_day, width, min_gain * 1.01, min, max);
        assert!(fewer < wanted, "{wanted}: {fewer}");
    }
}

#[test]
fn ignored_gains_are_negligible() {
    let demand = steady(1.0);
    let (min_gain, rate) = demand.min_gain(at_all_hours, TimeDelta::minutes(60), 0.9999, 0, 1_000);
    assert!(min_gain > 0.0);
    assert!(rate >= 0.9999 * (1.0 - 1e-7), "{rate}");
}

#[test]
fn hit_rate_is_relative_to_the_reachable() {
    let demand = steady(2.0);
    let restore = TimeDelta::minutes(60);
    let one = rate_at(&demand, |_| true, 4.0, 0.0, 0, 1);
    assert!(one < 0.5);
    let (min_gain, rate) = demand.min_gain(at_all_hours, restore, 0.99, 0, 1);
    assert!(min_gain.is_finite());
    assert!((rate / one - 0.99).abs() < 2e-3, "{rate} of {one}");
    // What is held anyway has no min_gain.
    let (min_gain, rate) = demand.min_gain(at_all_hours, restore, 0.99, 1, 1);
    assert_eq!(min_gain, f64::INFINITY);
    close(rate, one);
}

#[test]
fn the_first_is_bought_for_the_sake_of_those_after_it() {
    // So many come at once that the first is hardly ever the one that serves.
    let mut demand = steady(20.0);
    demand.slots.iter_mut().for_each(|slot| slot.earlier = 0.0);
    let restore = TimeDelta::minutes(30);
    let gains: Vec<f64> = demand.window(0, 2.0, None).gains().take(60).collect();
    let highest = gains.iter().copied().fold(0.0, f64::max);
    assert!(gains[0] < highest / 2.0, "{} and {highest}", gains[0]);
    let (min_gain, _) = demand.min_gain(at_all_hours, restore, 0.01, 0, 60);
    close(min_gain, highest);
    let at = at("02T00:00:00");
    let peak = gains.iter().position(|gain| *gain >= min_gain).unwrap() + 1;
    let needed = demand.needed(at, &OTHER_DAY, restore, min_gain, 60);
    assert_eq!(usize::try_from(needed).unwrap(), peak);
}

#[test]
fn no_demand_needs_no_database() {
    let nothing = (f64::INFINITY, 1.0);
    assert_eq!(steady(0.0).min_gain(at_all_hours, TimeDelta::minutes(20), 0.99, 0, 9), nothing);
    assert_eq!(steady(1.0).min_gain(|_, _| false, TimeDelta::minutes(20), 0.99, 0, 9), nothing);
}
