//! The dependency rules of `ARCHITECTURE.md`: layers, import circles and file sizes.

mod source;
mod text;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use rstest::rstest;
use source::{Sources, module_of};

const MAX_LINES: usize = 500;

/// The layer of a file: `domain`, `cloud/aws`, …
fn layer(file: &str) -> String {
    let path = file.strip_suffix(".rs").unwrap();
    let parts: Vec<_> = path.split('/').collect();
    match parts[..] {
        ["cloud", adapter, ..] if adapter != "mod" => format!("cloud/{adapter}"),
        _ => parts[0].to_owned(),
    }
}

/// Modules and crates that a layer must not use.
fn forbidden(layer: &str) -> &'static [&'static str] {
    match layer {
        "domain" => &[
            "crate::cli",
            "crate::clock",
            "crate::cloud",
            "crate::config",
            "crate::engine",
            "crate::failure",
            "crate::logging",
            "crate::tui",
            "tokio",
            "std::env",
            "std::fs",
            "std::net",
        ],
        "cloud" => &["crate::cli", "crate::config", "crate::engine", "crate::tui"],
        "cloud/aws" => &["crate::cli", "crate::cloud::sim", "crate::config", "crate::engine", "crate::tui"],
        "cloud/sim" => &["crate::cli", "crate::cloud::aws", "crate::config", "crate::engine", "crate::tui"],
        "engine" => &["crate::cli", "crate::cloud::aws", "crate::cloud::sim", "crate::config", "crate::tui"],
        "sessions" => &[
            "crate::cli",
            "crate::cloud::aws",
            "crate::cloud::sim",
            "crate::config",
            "crate::engine",
            "crate::tui",
        ],
        "tui" => &["crate::cli", "crate::cloud::aws", "crate::cloud::sim"],
        _ => &[],
    }
}

/// One line for each file that uses what its layer must not.
fn broken_layers(sources: &Sources) -> BTreeSet<String> {
    let mut broken = BTreeSet::new();
    for reference in sources.references() {
        let layer = layer(&reference.file);
        let path = reference.path.join("::");
        let definition = reference.target.map(|file| format!("crate::{}", module_of(&file).join("::")));
        let uses = |name: &str| {
            let is_in = |path: &str| {
                path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"))
            };
            is_in(&path) || definition.as_deref().is_some_and(is_in)
        };
        if forbidden(&layer).iter().any(|name| uses(name))
            || layer != "cloud/aws" && path.starts_with("aws_sdk_")
        {
            broken.insert(format!("{} uses {path}", reference.file));
        }
    }
    broken
}

/// The shortest circle of imports of each group of files that import each other, as text.
fn circles(sources: &Sources) -> Vec<String> {
    let imports = sources.imports();
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for file in imports.keys() {
        if !seen.contains(file)
            && let Some(circle) = shortest_circle(&imports, file)
        {
            let steps = circle.iter().zip(circle.iter().cycle().skip(1));
            let steps = steps.map(|(from, to)| format!("  {from} uses {}", imports[*from][*to]));
            circles.push(steps.collect::<Vec<_>>().join("\n"));
            seen.extend(circle);
        }
    }
    circles
}

/// The shortest way from a file back to itself, by breadth-first search.
fn shortest_circle<'a>(
    imports: &'a BTreeMap<String, BTreeMap<String, String>>,
    start: &'a String,
) -> Option<Vec<&'a String>> {
    let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                let way = std::iter::successors(Some(file), |file| came_from.get(file).copied());
                let mut circle: Vec<_> = way.collect();
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn layers_use_only_what_they_may() {
    let broken = broken_layers(&Sources::read(&source_root()));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let circles = circles(&Sources::read(&source_root()));
    assert!(circles.is_empty(), "{} circles:\n{}", circles.len(), circles.join("\n\n"));
}

#[test]
fn files_have_at_most_500_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = ["src", "tests", "benches"].map(|folder| root.join(folder)).to_vec();
    let mut long = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                long.extend((lines > MAX_LINES).then_some((path, lines)));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[rstest]
#[case::absolute("use crate::a::y::g; pub fn f() { g() }", "use crate::a::x::f; pub fn g() { f() }")]
#[case::super_super(
    "pub fn f() { super::super::a::y::g() }",
    "use super::super::a::x::f; pub fn g() { f() }"
)]
#[case::group(
    "use crate::{a::{y::{self}}, b}; pub fn f() { y::g() }",
    "use super::{x::f as other}; pub fn g() { other() }"
)]
#[case::reexport("use super::g; pub fn f() { g() }", "use crate::a::f; pub fn g() { f() }")]
#[case::glob("use super::*; pub fn f() { g() }", "use crate::a::*; pub fn g() { f() }")]
#[case::inside_a_function("pub fn f() { use super::y; y::g() }", "pub fn g() { super::x::f() }")]
#[case::inside_a_macro("pub fn f() { dbg!(1, crate::a::y::g()); }", "pub fn g() { super::x::f() }")]
#[case::inline_module(
    "pub mod m { pub fn h() { super::super::y::g() } } pub fn f() {}",
    "pub fn g() { super::x::f() }"
)]
fn circle_is_found(#[case] x: &str, #[case] y: &str) {
    let sources = Sources::parse([
        ("lib.rs", "pub mod a; pub mod b;"),
        ("a.rs", "pub mod x; pub mod y; pub use x::f; pub use y::g;"),
        ("a/x.rs", x),
        ("a/y.rs", y),
        ("b.rs", ""),
    ]);
    let circles = circles(&sources);
    assert_eq!(circles.len(), 1, "{circles:?}");
    assert!(circles[0].contains("a/x.rs uses crate::a::y::g"), "{circles:?}");
    assert!(circles[0].contains("a/y.rs uses crate::a::x::f"), "{circles:?}");
}

#[rstest]
#[case::parent_uses_child("pub mod x; pub struct A; fn f(_: x::X) {}", 1)]
#[case::parent_uses_what_it_reexports("mod x; pub use x::X; pub struct A; fn f(_: X) {}", 1)]
#[case::parent_imports_child("mod x; use x::X; pub struct A(X);", 1)]
#[case::parent_reexports_child("mod x; pub use x::X; pub struct A;", 0)]
#[case::parent_declares_child("pub mod x; pub struct A;", 0)]
#[case::unit_test_uses_child("pub mod x; pub struct A; #[cfg(test)] mod tests { use super::x::X; }", 0)]
fn circle_of_parent_and_child(#[case] parent: &str, #[case] expected: usize) {
    let child = "use super::A; pub struct X(A);";
    let sources = Sources::parse([("lib.rs", "pub mod a;"), ("a.rs", parent), ("a/x.rs", child)]);
    assert_eq!(circles(&sources).len(), expected, "{:?}", circles(&sources));
}

#[test]
fn circle_of_three_files_is_found() {
    let sources = Sources::parse([
        ("lib.rs", "pub mod a; pub mod b; pub mod c; pub mod d;"),
        ("a.rs", "pub fn f() { crate::b::f() }"),
        ("b.rs", "use super::c::f as next; pub fn f() { next() }"),
        ("c.rs", "pub fn f() { super::a::f(); super::d::f() }"),
        ("d.rs", "pub fn f() {}"),
    ]);
    assert_eq!(
        circles(&sources),
        ["  a.rs uses crate::b::f\n  b.rs uses crate::c::f\n  c.rs uses crate::a::f"]
    );
}

#[rstest]
#[case::relative("domain/x.rs", "use super::super::engine::Engine;", true)]
#[case::in_a_group("domain/x.rs", "use crate::{domain::Number, clock::Clock};", true)]
#[case::inline("engine/x.rs", "fn f() { crate::tui::draw() }", true)]
#[case::by_a_module("engine/x.rs", "use crate::cloud; fn f() { cloud::aws::connect() }", true)]
#[case::by_a_relative_module("cloud/sim/x.rs", "use super::super::aws; fn f() { aws::connect() }", true)]
#[case::by_a_reexport("engine/x.rs", "use crate::cloud::connect;", true)]
#[case::other_crate("domain/x.rs", "use std::{collections::BTreeMap, fs};", true)]
#[case::aws_sdk("engine/x.rs", "fn f(_: aws_sdk_ec2::Client) {}", true)]
#[case::allowed("engine/x.rs", "use crate::cloud::Cloud; use super::super::domain::Number;", false)]
#[case::allowed_in_the_adapter(
    "cloud/aws/x.rs",
    "use aws_sdk_ec2::Client; use crate::domain::Number;",
    false
)]
#[case::in_a_comment("domain/x.rs", "/// See `crate::engine::Engine`.\npub struct X;", false)]
fn layer_is_held_by_resolved_paths(#[case] file: &str, #[case] text: &str, #[case] is_broken: bool) {
    let sources = Sources::parse([
        ("lib.rs", "pub mod clock; pub mod cloud; pub mod domain; pub mod engine; pub mod tui;"),
        ("clock.rs", "pub struct Clock;"),
        ("cloud.rs", "pub mod aws; pub mod sim; pub trait Cloud {} pub use aws::connect;"),
        ("cloud/aws.rs", "pub mod x; pub fn connect() {}"),
        ("cloud/sim.rs", "pub mod x;"),
        ("domain.rs", "pub mod x; pub struct Number;"),
        ("engine.rs", "pub mod x; pub struct Engine;"),
        ("tui.rs", "pub fn draw() {}"),
        (file, text),
    ]);
    assert_eq!(!broken_layers(&sources).is_empty(), is_broken, "{:?}", broken_layers(&sources));
}
