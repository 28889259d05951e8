//! The forecast's arithmetic, against numbers worked out by hand and against the textbook's formulas.

#![allow(clippy::float_cmp)] // where it is exact

use std::iter::zip;

use chrono_tz::Europe::Berlin;

use super::super::launches::Launch;
use super::*;

const SLOTS: usize = 7 * SLOTS_A_DAY;

/// In March 2026, of which the second is a Monday.
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
        if index % SLOTS_A_DAY == 0 {
            earlier = 0.0;
        }
        slots.push(Slot { rate: of(index), earlier, days: 3.0 });
        earlier += of(index);
    }
    Demand { zone, slots }
}

/// A day of which nothing is known.
const ANOTHER_DAY: Today = Today { day: 0, scale: 1.0, shape: DAY_SHAPE };

fn seen(exposed: &[(i32, usize, f64)], counted: &[(i32, usize, f64)]) -> Seen {
    let mut seen = Seen::new();
    for (day, from, weight) in exposed {
        seen.expose(*day, *from, *weight);
    }
    for (day, slot, weight) in counted {
        seen.count(*day, *slot, *weight);
    }
    seen
}

#[test]
fn a_value_is_spread_over_its_neighbours_and_the_ends_meet() {
    assert_eq!(smooth(&[0.0, 0.0, 4.0, 0.0, 0.0], 1), [0.0, 1.0, 2.0, 1.0, 0.0]);
    assert_eq!(smooth(&[4.0, 0.0, 0.0, 0.0, 0.0], 1), [2.0, 1.0, 0.0, 0.0, 1.0]);
    let wide = smooth(&[0.0, 0.0, 0.0, 0.0, 16.0, 0.0, 0.0, 0.0, 0.0], 3);
    assert_eq!(wide, [0.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
}

#[test]
fn a_day_counts_half_after_four_weeks() {
    assert_eq!([0, 28, 56].map(weight), [1.0, 0.5, 0.25]);
}

#[test]
fn every_slot_has_its_place_in_the_week() {
    let monday = at("02T00:00:00").num_days_from_ce();
    assert_eq!(Seen::place(monday, 0), 0);
    assert_eq!(Seen::place(monday + 1, 5), SLOTS_A_DAY + 5);
    assert_eq!(Seen::place(monday - 1, 95), SLOTS - 1);
    let local = |text| at(text).with_timezone(&Berlin);
    assert_eq!(index(&local("02T10:44:59")), 11 * 4 + 2);
    assert_eq!(index(&local("03T23:10:00")), 2 * SLOTS_A_DAY, "a Wednesday in Berlin");
    let opened: Vec<_> = (0..SLOTS)
        .filter(|index| open_at(&|day, minute| day == Weekday::Tue && minute == 9 * 60 + 45, *index))
        .collect();
    assert_eq!(opened, [SLOTS_A_DAY + 39]);
}

#[test]
fn a_slot_learns_from_its_own_launches_and_a_little_from_other_weekdays() {
    // Monday (day 1) counts three days with six launches at ten.
    let slots = seen(&[(1, 0, 3.0)], &[(1, 40, 6.0)]).slots(at_all_hours);
    let surprise = 1.0 / (96.0 * 5.0 + 6.0 * 96.0 * 2.0);
    close(slots[40].rate, (3.0 + 2.0 * 0.5) / 5.0 + surprise);
    close(slots[41].rate, (1.5 + 2.0 * 0.375) / 5.0 + surprise);
    close(slots[60].rate, surprise);
    close(slots[SLOTS_A_DAY + 40].rate, 2.0 * 0.5 / 2.0 + surprise);
    assert_eq!((slots[40].days, slots[SLOTS_A_DAY + 40].days), (5.0, 2.0));
}

#[test]
fn a_weekday_that_is_quiet_as_a_whole_hears_less_from_the_others() {
    let slots = seen(&[(1, 0, 3.0), (2, 0, 3.0)], &[(1, 40, 6.0)]).slots(at_all_hours);
    let surprise = 1.0 / (2.0 * 96.0 * 5.0 + 5.0 * 96.0 * 2.0);
    // Both days would have had three by what is usual; Monday had six, Tuesday none.
    close(slots[40].rate, (3.0 + 2.0 * (7.0 / 4.0) * 0.25) / 5.0 + surprise);
    close(slots[SLOTS_A_DAY + 40].rate, 2.0 * (1.0 / 4.0) * 0.25 / 5.0 + surprise);
}

#[test]
fn a_time_of_day_that_was_never_seen_is_taken_to_be_as_any_other() {
    let slots = seen(&[(1, 50, 1.0)], &[(1, 60, 23.0)]).slots(at_all_hours);
    let surprise = 1.0 / (96.0 * 2.0 * 7.0 + 46.0);
    let anywhere = 23.0 / 46.0;
    // No other weekday says anything of the level: on Tuesday it is one.
    close(slots[SLOTS_A_DAY + 10].rate, 2.0 * anywhere / 2.0 + surprise);
    // Without anything at all, what is left is the surprise.
    close(seen(&[], &[]).slots(at_all_hours)[0].rate, 1.0 / (672.0 * 2.0));
    // Half a day's weight is no whole day.
    let slots = seen(&[(1, 95, 0.5)], &[(1, 95, 0.5)]).slots(at_all_hours);
    close(slots[SLOTS_A_DAY + 40].rate, 0.5 + 1.0 / (672.0 * 2.0 + 0.5));
}

#[test]
fn the_surprise_is_shared_by_the_hours_that_are_open() {
    let slots = seen(&[(1, 0, 3.0)], &[]).slots(|day, minute| day == Weekday::Mon && minute < 60);
    close(slots[200].rate, 1.0 / (4.0 * 5.0));
    close(seen(&[], &[]).slots(|_, _| false)[0].rate, 1.0);
}

#[test]
fn days_are_learnt_from_by_their_age_and_today_is_not() {
    let now = at("04T12:00:00");
    let launch = |text| Launch { at: at(text), restore: None };
    let times = ["02T10:07:00", "02T18:00:00", "03T10:01:00", "03T23:59:59", "04T00:00:00", "04T11:00:00"];
    let launches = Launches::new(at("01T00:00:00"), now, times.map(launch).to_vec());
    let learnt = Demand::learn(&launches, Tz::UTC, at_all_hours, now).unwrap();
    let (monday, tuesday) = (weight(2), weight(1));
    let days = [(1, 40, monday), (2, 0, tuesday)];
    let counted = [(1, 40, monday), (1, 72, monday), (2, 40, tuesday), (2, 95, tuesday)];
    let expected = seen(&days, &counted).slots(at_all_hours);
    for (index, (found, wanted)) in zip(&learnt.slots, &expected).enumerate() {
        close(found.rate, wanted.rate);
        close(found.days, wanted.days);
        let since_midnight = index - index % SLOTS_A_DAY..index;
        close(found.earlier, expected[since_midnight].iter().map(|slot| slot.rate).sum());
    }
}

#[test]
fn a_whole_day_is_the_least_that_is_learnt_from() {
    let first = Launch { at: at("02T10:00:00"), restore: None };
    let learn = |until: DateTime<Utc>| {
        let launches = Launches::new(at("01T00:00:00"), until, vec![first]);
        Demand::learn(&launches, Tz::UTC, at_all_hours, until)
    };
    assert_eq!(learn(at("03T09:59:59")), None);
    assert_ne!(learn(at("03T10:00:00")), None);
    let none = Launches::new(at("01T00:00:00"), at("09T00:00:00"), Vec::new());
    assert_eq!(Demand::learn(&none, Tz::UTC, at_all_hours, at("09T00:00:00")), None);
}

#[test]
fn what_has_come_today_corrects_the_day() {
    // In Berlin it is 10:05, in the third of its 41st slot.
    let demand = rates(Berlin, |index| if index % 2 == 0 { 0.5 } else { 1.0 });
    let now = at("02T09:05:00");
    let launch = |text| Launch { at: at(text), restore: None };
    // The first was yesterday, by Berlin's clock.
    let times = ["01T22:59:59", "01T23:00:00", "02T08:00:00"].map(launch).to_vec();
    let launches = Launches::new(at("01T00:00:00"), now, times);
    let day = now.num_days_from_ce();

    let today = demand.today(&launches, 3, now, now);
    let expected = 20.0 * 1.5 + 0.5 / 3.0;
    assert_eq!((today.day, today.shape), (day, 9.0));
    close(today.scale, 9.0 / (4.0 + expected));
    // Nobody knows anything later than now.
    assert_eq!(demand.today(&launches, 3, at("02T12:00:00"), now), today);

    let until_two = demand.today(&launches, 0, at("02T01:00:00"), now);
    close(until_two.scale, 6.0 / (4.0 + 4.0 * 1.5));
    // Yesterday's end says nothing of today.
    let unknown = demand.today(&launches, 3, at("01T22:00:00"), now);
    assert_eq!(unknown, Today { day, scale: 1.0, shape: 4.0 });
}

#[test]
fn what_is_expected_is_corrected_for_today_alone() {
    let demand = steady(0.6);
    let double = Today { day: at("02T00:00:00").num_days_from_ce(), scale: 2.0, shape: 4.0 };
    let from = |text, minutes| demand.expected(at(text), TimeDelta::minutes(minutes), &double);
    close(from("03T10:00:00", 60), 4.0 * 0.6);
    close(from("02T10:00:00", 60), 2.0 * 4.0 * 0.6);
    close(from("02T23:30:00", 60), 3.0 * 2.0 * 0.6);
    close(from("02T10:00:00", 0), 0.0);
    let morning = rates(Tz::UTC, |index| if index % SLOTS_A_DAY == 40 { 3.0 } else { 0.0 });
    close(morning.expected(at("03T09:50:00"), TimeDelta::minutes(20), &ANOTHER_DAY), 2.0);
}

#[test]
fn a_window_reaches_back_from_the_middle_of_its_slot() {
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
fn a_window_is_as_uncertain_as_what_is_usual_and_the_day_are_together() {
    let demand = rates(Tz::UTC, |index| if index < 2 { 4.0 } else { 1.0 });
    let usual = 0.5 + 6.0 * 3.0;
    let of_any_day = demand.window(1, 1.5, None);
    close(of_any_day.rate, 4.0);
    close(of_any_day.mean, 6.0);
    close(of_any_day.shape, 1.0 / (1.0 / usual + 1.0 / (DAY_SHAPE + 4.0)));
    let today = Today { day: 1, scale: 0.5, shape: 7.0 };
    let of_today = demand.window(1, 1.5, Some(&today));
    close(of_today.rate, 2.0);
    close(of_today.mean, 3.0);
    close(of_today.shape, 1.0 / (1.0 / usual + 1.0 / 7.0));
}

/// The negative binomial distribution as it is in the books, for a whole shape: k launches beside a mean.
fn negative_binomial(count: u32, mean: f64, shape: u32) -> f64 {
    let success = mean / (f64::from(shape) + mean);
    let choose = (1..=count).map(|k| f64::from(shape + k - 1) / f64::from(k)).product::<f64>();
    choose * success.powi(count.cast_signed()) * (1.0 - success).powi(shape.cast_signed())
}

#[test]
fn each_database_serves_the_launches_that_find_the_others_taken() {
    let window = Window { rate: 2.0, mean: 3.0, shape: 4.0 };
    for (number, gain) in (0..40).zip(window.gains()) {
        close(gain, 2.0 * negative_binomial(number, 3.0, 4));
    }
    close(window.gains().take(200).sum(), 2.0);
}

#[test]
fn as_many_are_needed_as_are_worth_their_price() {
    let demand = steady(1.0);
    let at = at("02T10:00:00");
    let restore = TimeDelta::minutes(30);
    let gains: Vec<f64> = demand.window(40, 2.0, None).gains().take(12).collect();
    for (price, most) in [(gains[3], 12), (gains[3] * 1.001, 12), (gains[3], 2), (0.0, 9), (5.0, 9)] {
        let worth = gains.iter().take(most).rposition(|gain| *gain >= price).map_or(0, |last| last + 1);
        let most = u32::try_from(most).unwrap();
        let needed = demand.needed(at, &ANOTHER_DAY, restore, price, most);
        assert_eq!(usize::try_from(needed).unwrap(), worth, "{price}");
    }
    // What is known of the day counts on that day.
    let busy = Today { day: at.num_days_from_ce(), scale: 3.0, shape: 20.0 };
    let by_far = |today| demand.needed(at, today, restore, 0.05, 50);
    assert!(by_far(&busy) > by_far(&ANOTHER_DAY));
    assert_eq!(by_far(&ANOTHER_DAY), by_far(&Today { day: at.num_days_from_ce() - 1, ..busy }));
    assert_eq!(steady(0.0).needed(at, &ANOTHER_DAY, restore, 0.0, 5), 0, "nothing is worth nothing");
}

/// How often a week's launches find a database, where each slot has as many as are worth this price.
fn rate_at(
    demand: &Demand,
    open: impl Fn(usize) -> bool,
    width: f64,
    price: f64,
    least: u32,
    most: u32,
) -> f64 {
    let (mut served, mut all) = (0.0, 0.0);
    for index in (0..SLOTS).filter(|index| open(*index)) {
        let gains: Vec<f64> = demand.window(index, width, None).gains().take(most as usize).collect();
        let worth = gains.iter().rposition(|gain| *gain >= price).map_or(0, |last| last + 1);
        served += gains.iter().take(worth.max(least as usize)).sum::<f64>();
        all += demand.slots[index].rate;
    }
    served / all
}

#[test]
fn the_price_is_the_highest_at_which_enough_is_served() {
    // Mornings differ, so that no two slots are worth the same.
    let demand = rates(Tz::UTC, |index| {
        let (day, slot) = (index / SLOTS_A_DAY, index % SLOTS_A_DAY);
        let peak = if (36..60).contains(&slot) && day < 5 { 2.0 } else { 0.05 };
        peak * (1.0 + as_f64(index) / 5_000.0)
    });
    let restore = TimeDelta::minutes(20);
    let width = 20.0 / 15.0;
    let by_day = |_: Weekday, minute: u32| (7 * 60..19 * 60).contains(&minute);
    let is_day = |index: usize| (28..76).contains(&(index % SLOTS_A_DAY));
    for (wanted, least, most) in [(0.5, 0, 50), (0.9, 0, 50), (0.99, 0, 50), (0.995, 2, 50), (0.9, 0, 30)] {
        let (price, rate) = demand.price(by_day, restore, wanted, least, most);
        let found = rate_at(&demand, is_day, width, price, least, most);
        assert!((found - rate).abs() < 1e-3, "{wanted}: {rate} is said, {found} is true");
        assert!(rate >= wanted - 1e-3, "{wanted}: {rate}");
        let dearer = rate_at(&demand, is_day, width, price * 1.01, least, most);
        assert!(dearer < wanted, "{wanted}: {dearer} would do");
    }
}

#[test]
fn next_to_nothing_is_left_out() {
    let demand = steady(1.0);
    let (price, rate) = demand.price(at_all_hours, TimeDelta::minutes(60), 0.9999, 0, 1_000);
    assert!(price > 0.0);
    assert!(rate >= 0.9999 * (1.0 - 1e-7), "{rate}");
}

#[test]
fn where_little_can_be_had_the_share_of_that_is_what_is_wanted() {
    let demand = steady(2.0);
    let restore = TimeDelta::minutes(60);
    let one = rate_at(&demand, |_| true, 4.0, 0.0, 0, 1);
    assert!(one < 0.5);
    let (price, rate) = demand.price(at_all_hours, restore, 0.99, 0, 1);
    assert!(price.is_finite());
    assert!((rate / one - 0.99).abs() < 2e-3, "{rate} of {one}");
    // What is held anyway has no price.
    let (price, rate) = demand.price(at_all_hours, restore, 0.99, 1, 1);
    assert_eq!(price, f64::INFINITY);
    close(rate, one);
}

#[test]
fn the_first_is_bought_for_the_sake_of_those_after_it() {
    // So many come at once that the first is hardly ever the one that serves.
    let mut demand = steady(20.0);
    demand.slots.iter_mut().for_each(|slot| slot.earlier = 0.0);
    let restore = TimeDelta::minutes(30);
    let gains: Vec<f64> = demand.window(0, 2.0, None).gains().take(60).collect();
    let dearest = gains.iter().copied().fold(0.0, f64::max);
    assert!(gains[0] < dearest / 2.0, "{} and {dearest}", gains[0]);
    let (price, _) = demand.price(at_all_hours, restore, 0.01, 0, 60);
    close(price, dearest);
    let at = at("02T00:00:00");
    let peak = gains.iter().position(|gain| *gain >= price).unwrap() + 1;
    let needed = demand.needed(at, &ANOTHER_DAY, restore, price, 60);
    assert_eq!(usize::try_from(needed).unwrap(), peak);
}

#[test]
fn where_nothing_is_expected_nothing_is_bought() {
    let nothing = (f64::INFINITY, 1.0);
    assert_eq!(steady(0.0).price(at_all_hours, TimeDelta::minutes(20), 0.99, 0, 9), nothing);
    assert_eq!(steady(1.0).price(|_, _| false, TimeDelta::minutes(20), 0.99, 0, 9), nothing);
}
