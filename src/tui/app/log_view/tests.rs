//! The log against a plain model of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use tui_input::Input;

use super::buffer::MAX_BYTES;
use super::*;
use crate::tui::text;

mod older;

fn line(at: i64, source: &str, text: &str) -> LogLine {
    LogLine {
        id: String::new(),
        at: DateTime::from_timestamp(at, 0).unwrap(),
        source: source.into(),
        text: text.into(),
    }
}

fn empty() -> LogView {
    LogView::new(RecordId::new("lt-1"), String::new(), DateTime::UNIX_EPOCH, 1, false)
}

fn log(count: i64) -> LogView {
    let mut view = empty();
    let lines = (0..count).map(|n| line(n, if n % 2 == 0 { "a" } else { "b" }, &format!("line {n}")));
    view.push(lines.collect(), 10, 80);
    view
}

fn search(view: &mut LogView, needle: &str) {
    view.search.input = Input::new(needle.to_owned());
    view.update_search();
}

fn filter(view: &mut LogView, needle: &str) {
    view.filter.input = Input::new(needle.to_owned());
    view.update_filter(0);
}

fn only(view: &mut LogView, names: &[&str]) {
    view.buffer.show_only(Some(names.iter().map(|name| Arc::from(*name)).collect()));
}

/// The numbers of the lines of a window of 10 rows.
fn window(view: &LogView) -> Vec<i64> {
    view.window(10, 80).take(10).map(|line| line.number).collect()
}

#[test]
fn million_lines_are_bounded() {
    let mut view = empty();
    filter(&mut view, "7");
    search(&mut view, "1");
    for batch in 0..1_000 {
        let lines = (0..1_000).map(|n| line(batch, "payments", &format!("INFO GET /orders/{batch}/{n} 200")));
        view.push(lines.collect(), 10, 80);
        assert!(view.buffer.bytes() <= MAX_BYTES);
    }
    let kept = view.buffer.entries().count();
    assert_eq!(view.buffer.dropped() + kept, 1_000_000);
    assert!(kept > 100_000, "{kept}");
    // What the program really holds: texts with the counts of their `Arc`s, the places of entries and numbers, at most twice as many as used.
    let texts: usize = view.buffer.entries().map(|entry| entry.text.len() + 16).sum();
    let places = view.buffer.capacity_in_bytes();
    assert!(texts + places <= MAX_BYTES, "{texts} + {places}");
}

#[test]
fn long_line_is_cut_and_says_so() {
    let mut view = empty();
    view.push(vec![line(1, "a", &"x".repeat(5_234)), line(2, "a", "\u{1b}[31mred")], 10, 80);
    let entries: Vec<_> = view.buffer.entries().map(|entry| entry.text.to_string()).collect();
    assert_eq!(entries[0], format!("{}… [1,234 more characters cut]", "x".repeat(4_000)));
    assert_eq!(entries[1], "red");
}

#[test]
fn event_has_its_lines_and_their_level() {
    let mut view = empty();
    search(&mut view, "A.java");
    view.push(vec![line(1, "app", "java.lang.Error: boom\n\tat A.b(A.java:1)\n\tat C.d(C.java:2)")], 10, 80);
    view.buffer.remark("5 older lines left out");
    view.push(vec![line(2, "other", "fine")], 10, 80);
    let texts: Vec<_> = view.buffer.entries().map(|entry| &*entry.text).collect();
    let error = ["java.lang.Error: boom", "    at A.b(A.java:1)", "    at C.d(C.java:2)"];
    assert_eq!(texts, [&error[..], &["5 older lines left out", "fine"]].concat());
    assert_eq!(view.buffer.match_at(0), Some(1));
    let levels: Vec<_> = view.buffer.entries().map(|entry| entry.level.is_some()).collect();
    assert_eq!(levels, [true, true, true, false, false]);
    only(&mut view, &["app"]);
    assert_eq!(window(&view), [0, 1, 2, 3]);
    view.move_by(-1, 10, 80);
    view.move_by(-1, 10, 80);
    view.open_event(80);
    assert_eq!(view.event.unwrap().text(), error.join("\n"));
}

#[test]
fn push_keeps_the_scroll_position() {
    let mut view = log(100);
    assert_eq!(window(&view)[0], 90);
    view.scroll(-5, 10, 80);
    assert_eq!((window(&view)[0], view.cursor(), view.follow), (85, Some(94), false));
    view.push(vec![line(1, "a", "more"); 50], 10, 80);
    assert_eq!(window(&view)[0], 85);
    view.scroll(1_000, 10, 80);
    assert!(view.follow);
    assert_eq!(window(&view)[0], 140);
    view.scroll(-1_000, 10, 80);
    assert_eq!(window(&view)[0], 0);
}

#[test]
fn cursor_moves_by_lines_and_follows_beyond_the_end() {
    let mut view = log(100);
    view.move_by(-1, 10, 80);
    assert_eq!((view.cursor(), view.follow, window(&view)[0]), (Some(98), false, 90));
    view.page(-10, 10, 80);
    assert_eq!((view.cursor(), window(&view)[0]), (Some(88), 80));
    view.go_to_end(10, 80);
    view.toggle_follow(10, 80);
    view.move_by(1, 10, 80);
    assert!(view.follow);
}

#[test]
fn high_line_is_scrolled_through() {
    let mut view = empty();
    view.wrap = true;
    view.push(vec![line(1, "a", &"x".repeat(400)), line(2, "a", "end")], 3, 20);
    view.go_to_start();
    let rows = 400_usize.div_ceil(11);
    let mut seen = BTreeSet::new();
    for _ in 0..=rows {
        seen.extend(view.window(3, 20).take(1).map(|line| (line.number, line.skipped)));
        view.move_by(1, 3, 20);
    }
    let all: Vec<_> = (0..=rows - 3).map(|row| (0, row)).chain([(0, rows - 2)]).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    assert_eq!(view.cursor(), Some(1));
}

#[test]
fn go_to_match_wraps_around_and_shows_the_match() {
    let mut view = log(100);
    search(&mut view, "LINE 4");
    assert_eq!(view.buffer.match_count(), 11);
    view.go_to_start();
    view.go_to_first_match(10, 80);
    assert_eq!(view.cursor(), Some(4));
    view.go_to_match(false, 10, 80);
    assert_eq!(view.cursor(), Some(49));
    view.go_to_match(true, 10, 80);
    assert_eq!(view.cursor(), Some(4));
    view.push(vec![line(200, "a", &format!("{} here", "x".repeat(300)))], 10, 80);
    search(&mut view, "here");
    view.go_to_match(true, 10, 80);
    assert!((250..301).contains(&view.column), "{}", view.column);
}

#[test]
fn columns_stay_and_end_with_the_longest_line() {
    let mut view = log(10);
    view.scroll_columns(true, 10, 80);
    assert_eq!(view.column, 0);
    view.push(vec![line(20, "a", &"x".repeat(100))], 10, 80);
    view.scroll_columns(true, 10, 80);
    view.scroll_columns(true, 10, 80);
    view.scroll_columns(true, 10, 80);
    let columns = 80 - view.gutter(80);
    assert_eq!(view.column, 100 - columns);
    view.push(vec![line(21, "a", "short"); 20], 10, 80);
    assert_eq!(view.column, 100 - columns);
    view.scroll_columns(false, 10, 80);
    assert_eq!(view.column, 100 - columns - 16);
}

#[test]
fn time_is_found() {
    let mut view = log(100);
    let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    assert!(view.go_to_time(at(42), 10, 80));
    assert_eq!((view.cursor(), window(&view)[0]), (Some(42), 39));
    assert!(!view.go_to_time(at(100), 10, 80));
    only(&mut view, &["b"]);
    assert!(view.go_to_time(at(42), 10, 80));
    assert_eq!(view.cursor(), Some(43));
}

#[test]
fn selection_has_the_shown_lines_between() {
    let mut view = log(100);
    only(&mut view, &["a"]);
    view.toggle_selection(10, 80);
    view.move_by(-2, 10, 80);
    assert_eq!(view.selected_text(), ("line 94\nline 96\nline 98".to_owned(), 3));
    assert_eq!(view.saved_lines().len(), 3);
    view.move_by(2, 10, 80);
    view.move_by(1, 10, 80);
    assert!(!view.follow, "the selection would grow by itself");
    view.toggle_selection(10, 80);
    assert_eq!((view.selected_text().1, view.saved_count()), (1, 50));
}

#[test]
fn failure_of_the_bootstrap_is_found_once() {
    let mut view = log(50);
    view.seeks_failure = true;
    view.push(
        vec![line(60, "app", "failed: not this one"), line(61, "bootstrap", "images: pulling")],
        10,
        80,
    );
    assert!(view.follow);
    let later = (0..50).map(|n| line(70 + n, "app", "INFO later"));
    let batch = std::iter::once(line(62, "bootstrap", "failed: images: no such tag")).chain(later).collect();
    assert!(view.push(batch, 10, 80));
    assert_eq!((view.cursor(), view.follow), (Some(52), false));
    assert!(!view.push(vec![line(200, "bootstrap", "failed: again")], 10, 80));
    assert_eq!(view.cursor(), Some(52));
}

#[derive(Debug, Clone)]
enum Op {
    Push(Vec<(u8, String)>),
    Older(Vec<(u8, String)>),
    Remark,
    Search(String),
    Filter(String, usize),
    Only(Option<BTreeSet<u8>>),
    Wrap,
    Fold,
    Move(isize),
    Page(isize),
    Scroll(isize),
    Start,
    End,
    Next(bool),
    Click(usize),
    Follow,
    Select,
    Resize(usize, usize),
}

fn any_op() -> impl Strategy<Value = Op> {
    let text = prop_oneof![
        6 => "[abAB 日é]{0,6}",
        2 => "[ab日]{30,80}",
        1 => Just(r#"{"level":"error","msg":"ab","b":1}"#.to_owned()),
        1 => "a\nb[a-b]{0,3}\nc",
    ];
    let needle = "[abé]{0,2}";
    prop_oneof![
        6 => proptest::collection::vec((0u8..3, text.clone()), 1..8).prop_map(Op::Push),
        3 => proptest::collection::vec((0u8..3, text), 1..8).prop_map(Op::Older),
        1 => Just(Op::Remark),
        2 => needle.prop_map(Op::Search),
        2 => (needle, 0usize..3).prop_map(|(needle, context)| Op::Filter(needle, context)),
        1 => proptest::option::of(proptest::collection::btree_set(0u8..3, 0..3)).prop_map(Op::Only),
        1 => Just(Op::Wrap),
        1 => Just(Op::Fold),
        4 => (-3isize..4).prop_map(Op::Move),
        3 => (-9isize..10).prop_map(Op::Page),
        2 => (-9isize..10).prop_map(Op::Scroll),
        1 => Just(Op::Start),
        1 => Just(Op::End),
        3 => any::<bool>().prop_map(Op::Next),
        1 => (0usize..12).prop_map(Op::Click),
        1 => Just(Op::Follow),
        1 => Just(Op::Select),
        1 => (1usize..9, 10usize..90).prop_map(|(height, width)| Op::Resize(height, width)),
    ]
}

/// Whether a line is of the chosen sources, and no remark.
fn is_of_source(view: &LogView, only: Option<&BTreeSet<u8>>, entry: &LogEntry) -> bool {
    let name = view.buffer.source_of(entry).and_then(|name| name.parse().ok());
    name.is_some_and(|name| only.is_none_or(|only| only.contains(&name)))
}

/// The number of lines of the chosen sources before a line.
fn lines_before(view: &LogView, only: Option<&BTreeSet<u8>>, number: i64) -> usize {
    let before = (view.buffer.first()..number).filter_map(|number| view.buffer.get(number));
    before.filter(|entry| is_of_source(view, only, entry)).count()
}

/// The numbers of the lines that are shown, by their definition.
fn shown(view: &LogView, only: Option<&BTreeSet<u8>>, needle: &str, context: usize) -> Vec<i64> {
    let entries: Vec<_> = (view.buffer.first()..).zip(view.buffer.entries()).collect();
    let of_source: Vec<_> = entries.iter().filter(|(_, entry)| is_of_source(view, only, entry)).collect();
    let is_match: Vec<bool> =
        of_source.iter().map(|(_, entry)| text::contains(&entry.text, needle)).collect();
    let is_shown =
        |at: usize| (at.saturating_sub(context)..=at + context).any(|near| is_match.get(near) == Some(&true));
    let remarks = entries.iter().filter(|(_, entry)| entry.kind == EntryKind::Remark);
    let mut shown: Vec<i64> =
        (0..of_source.len()).filter(|at| is_shown(*at)).map(|at| of_source[at].0).collect();
    shown.extend(remarks.map(|(number, _)| *number));
    shown.sort_unstable();
    shown
}

/// The texts of all lines.
fn texts(view: &LogView) -> Vec<Arc<str>> {
    view.buffer.entries().map(|entry| Arc::clone(&entry.text)).collect()
}

/// The number of lines before those that were known.
fn texts_before(view: &LogView, known: &[Arc<str>]) -> usize {
    view.buffer.entries().count() - known.len()
}

/// The number and the row of each row on an endless screen.
fn rows(view: &LogView, shown: &[i64], width: usize) -> Vec<(i64, usize)> {
    let rows = |number: i64| {
        let entry = view.buffer.get(number).unwrap();
        let columns = view.columns(entry, width);
        if view.wrap { text::chunks(entry.shown(view.fold), columns).len() } else { 1 }
    };
    shown.iter().flat_map(|number| (0..rows(*number)).map(|row| (*number, row))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    #[test]
    fn log_equals_a_plain_model(
        ops in proptest::collection::vec(any_op(), 1..50),
        max_bytes in proptest::sample::select(vec![3_000, 12_000, MAX_BYTES]),
    ) {
        let mut view = empty();
        view.buffer = LogBuffer::bounded(0, max_bytes);
        let (mut height, mut width) = (5, 30);
        let (mut needle, mut filtered, mut chosen) = (String::new(), (String::new(), 0), None);
        for op in ops {
            let before = view.cursor();
            match op.clone() {
                Op::Push(lines) => {
                    let lines = lines.iter().map(|(source, text)| line(1, &source.to_string(), text));
                    view.push(lines.collect(), height, width);
                }
                Op::Older(lines) => {
                    let place = |view: &LogView| {
                        let first = view.window(height, width).next().map(|line| (line.number, line.skipped));
                        (view.cursor(), view.selected(), view.window(height, width).count() > height, first)
                    };
                    let (known, texts) = (place(&view), texts(&view));
                    let lines: Vec<_> =
                        lines.iter().map(|(source, text)| line(1, &source.to_string(), text)).collect();
                    view.push_older(lines, None, height, width);
                    prop_assert_eq!(&texts[..], &self::texts(&view)[texts_before(&view, &texts)..]);
                    // The end of a followed log changes where the context of an older match reaches a known line.
                    if !view.follow {
                        let now = place(&view);
                        prop_assert_eq!((known.0.or(now.0), known.1.or(now.1.clone())), (now.0, now.1));
                        prop_assert!(!known.2 || known.3 == now.3, "{:?} became {:?}", known.3, now.3);
                    }
                }
                Op::Remark => view.buffer.remark("… lines left out"),
                Op::Search(text) => {
                    needle = text;
                    view.buffer.set_search(&needle);
                }
                Op::Filter(text, context) => {
                    filtered = (text, context);
                    let (text, context) = filtered.clone();
                    view.keep_place(height, width, |view| view.buffer.set_filter(&text, context));
                }
                Op::Only(only) => {
                    chosen = only;
                    let names =
                        chosen.as_ref().map(|only| only.iter().map(|n| Arc::from(n.to_string())).collect());
                    view.keep_place(height, width, |view| view.buffer.show_only(names));
                }
                Op::Wrap => view.keep_place(height, width, |view| view.wrap = !view.wrap),
                Op::Fold => view.keep_place(height, width, |view| view.fold = !view.fold),
                Op::Move(by) => view.move_by(by, height, width),
                Op::Page(by) => view.page(by, height, width),
                Op::Scroll(by) => view.scroll(by, height, width),
                Op::Start => view.go_to_start(),
                Op::End => view.go_to_end(height, width),
                Op::Next(forwards) => view.go_to_match(forwards, height, width),
                Op::Click(row) => { view.click(row.min(height - 1), height, width); }
                Op::Follow => view.toggle_follow(height, width),
                Op::Select => view.toggle_selection(height, width),
                Op::Resize(new_height, new_width) => (height, width) = (new_height, new_width),
            }
            view.keep_in_view(height, width);
            // The source of the first older event for which there is no room is known all the same.
            prop_assert!(view.buffer.bytes() <= max_bytes.max(4_000) + 300);
            let context = if filtered.0.is_empty() { 0 } else { filtered.1 };
            let shown = shown(&view, chosen.as_ref(), &filtered.0, context);
            let numbers: Vec<_> = (0..view.buffer.shown_count()).map(|at| view.buffer.number_at(at)).collect();
            // The context of a match that was dropped can be shown still.
            let uncertain = if view.buffer.dropped() > 0 { context } else { 0 };
            let certain = |numbers: &[i64]| {
                let is_certain = |number: &&i64| lines_before(&view, chosen.as_ref(), **number) >= uncertain;
                numbers.iter().filter(is_certain).copied().collect::<Vec<_>>()
            };
            prop_assert_eq!(certain(&numbers), certain(&shown), "{:?}", &op);
            let shown = numbers;
            let is_match = |number: &i64| {
                !needle.is_empty() && text::contains(&view.buffer.get(*number).unwrap().text, &needle)
            };
            let matches: Vec<i64> = shown.iter().copied().filter(is_match).collect();
            let found: Vec<_> =
                (0..view.buffer.match_count()).filter_map(|at| view.buffer.match_at(at)).collect();
            prop_assert_eq!(&found, &matches, "{:?}", &op);
            let rows = rows(&view, &shown, width);
            let Some(first) = view.window(height, width).next().map(|line| (line.number, line.skipped)) else {
                prop_assert!(shown.is_empty());
                continue;
            };
            let top = rows.iter().position(|row| *row == first);
            prop_assert!(top.is_some(), "{:?}: {:?} is not a row", &op, first);
            let (top, end) = (top.unwrap(), rows.len().saturating_sub(height));
            prop_assert!(top <= end, "{:?}: {} rows below the end", &op, top - end.min(top));
            prop_assert!(!view.follow || top == end, "{:?}", &op);
            let cursor = view.cursor().unwrap();
            if view.follow {
                prop_assert_eq!(Some(&cursor), shown.last(), "{:?}", &op);
            } else {
                let last = (top + height).min(rows.len());
                prop_assert!(rows[top..last].iter().any(|row| row.0 == cursor), "{:?}: no cursor", &op);
            }
            if let (Op::Next(forwards), false) = (op, matches.is_empty()) {
                let from = before.unwrap();
                let next = if forwards {
                    matches.iter().find(|number| **number > from).or(matches.first())
                } else {
                    matches.iter().rev().find(|number| **number < from).or(matches.last())
                };
                prop_assert_eq!(Some(&cursor), next);
            }
        }
    }

    #[test]
    fn keys_reach_the_end_and_the_start(
        texts in proptest::collection::vec("[ab日]{0,60}", 1..8),
        height in 1usize..7,
        width in 20usize..40,
        by in 1isize..6,
    ) {
        let mut view = empty();
        view.wrap = true;
        view.push(texts.iter().map(|text| line(1, "a", text)).collect(), height, width);
        let steps = 12 * 10;
        for page in [false, true] {
            view.go_to_start();
            for _ in 0..steps {
                if page { view.page(by, height, width) } else { view.move_by(1, height, width) }
            }
            prop_assert!(view.follow);
            for _ in 0..steps {
                if page { view.page(-by, height, width) } else { view.move_by(-1, height, width) }
            }
            let first = view.window(height, width).next().map(|line| (line.number, line.skipped));
            prop_assert_eq!((view.cursor(), first), (Some(0), Some((0, 0))));
        }
    }
}
