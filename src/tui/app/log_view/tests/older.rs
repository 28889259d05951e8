//! Older lines, which come after newer ones.

use super::*;

#[test]
fn older_lines_leave_everything_in_place() {
    let mut view = log(100);
    search(&mut view, "line 9");
    view.scroll(-50, 10, 80);
    view.toggle_selection(10, 80);
    view.move_by(-1, 10, 80);
    let place = |view: &LogView| (window(view), view.cursor(), view.selected(), view.selected_text());
    let (before, matches) = (place(&view), view.buffer.match_count());
    let older = |range: Range<i64>| range.map(|n| line(n, "b", &format!("line {n}"))).collect::<Vec<_>>();
    view.push_older(older(-90..0), None, 10, 80);
    view.push_older(older(-100..-90), Some(LeftOut::Older(7)), 10, 80);
    assert_eq!(place(&view), before);
    assert_eq!(view.buffer.match_count(), matches);
    view.push_older(older(-110..-100), None, 10, 80);
    view.go_to_start();
    view.move_by(1, 10, 80);
    let texts: Vec<_> = view.buffer.entries().map(|entry| entry.text.to_string()).take(2).collect();
    assert_eq!(
        (texts, view.cursor()),
        (vec!["… 7 older lines left out".to_owned(), "line -100".to_owned()], Some(-100))
    );
}

/// A match needs its context beyond the first known line, and a known match beyond the last older one.
#[test]
fn context_crosses_the_first_known_line() {
    let mut view = empty();
    view.push((0..8).map(|n| line(n, "a", if n == 5 { "match" } else { "no" })).collect(), 10, 80);
    filter(&mut view, "match");
    assert_eq!(window(&view), [3, 4, 5, 6, 7]);
    view.push_older(
        (0..4).map(|n| line(n, "a", if n == 2 { "match" } else { "no" })).collect(),
        None,
        10,
        80,
    );
    assert_eq!(window(&view), [-4, -3, -2, -1, 0, 3, 4, 5, 6, 7]);
    view.push(vec![line(9, "a", "no"), line(9, "a", "match")], 12, 80);
    let shown: Vec<_> = (0..view.buffer.shown_count()).map(|at| view.buffer.number_at(at)).collect();
    assert_eq!(shown, [-4, -3, -2, -1, 0, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn cursor_whose_line_is_hidden_does_not_jump_to_it() {
    let mut view = empty();
    view.toggle_follow(10, 80);
    filter(&mut view, "match");
    view.push((0..6).map(|n| line(n, "a", if n == 5 { "match" } else { "no" })).collect(), 10, 80);
    assert_eq!(view.cursor(), Some(3));
    view.push_older(vec![line(0, "a", "match")], None, 10, 80);
    assert_eq!((window(&view), view.cursor()), (vec![-1, 0, 1, 3, 4, 5], Some(3)));
}

#[test]
fn older_lines_beyond_the_bound_are_left_out() {
    let mut view = empty();
    view.buffer = LogBuffer::bounded(0, 10_000);
    view.push(vec![line(9, "a", "newest")], 10, 80);
    view.push_older((0..100).map(|n| line(n, "a", &format!("line {n}"))).collect(), None, 10, 80);
    let texts: Vec<_> = view.buffer.entries().map(|entry| entry.text.to_string()).collect();
    assert!(view.buffer.bytes() <= 10_000 && texts.len() > 30, "{texts:?}");
    assert_eq!(texts[0], "… older lines left out, because there are too many");
    assert_eq!(texts[texts.len() - 2..], ["line 99", "newest"]);
    let kept = texts.len();
    view.push_older(vec![line(0, "a", "older")], None, 10, 80);
    assert_eq!(view.buffer.entries().count(), kept);
    // Once the newest lines drop old ones, there would be a gap.
    view.push((0..100).map(|n| line(n, "a", &format!("new {n}"))).collect(), 10, 80);
    view.push_older(vec![line(0, "a", "older")], None, 10, 80);
    assert!(view.buffer.entries().all(|entry| !entry.text.contains("older")));
}

#[test]
fn failure_of_the_bootstrap_is_found_among_older_lines() {
    let mut view = log(50);
    view.seeks_failure = true;
    assert!(view.push_older(vec![line(1, "bootstrap", "failed: images: no such tag")], None, 10, 80));
    assert_eq!((view.cursor(), view.follow), (Some(-1), false));
}
