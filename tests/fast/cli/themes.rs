//! `hatchery themes`.

use std::fs;

use rstest::rstest;
use serde_json::{Value, json};

use super::harness::run_binary;

/// A home with two themes of the user, one of which replaces a built-in one.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("hatchery/themes");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("own.toml"), "inherits = 'mono'\n[roles]\n'state.ready' = { fg = '#00ff00' }")
        .unwrap();
    fs::write(folder.join("light.toml"), "inherits = 'ansi'").unwrap();
    home
}

#[test]
fn list_of_themes() {
    let home = home();
    insta::assert_snapshot!("themes_text", run_binary(&["themes"], home.path()).ok().out);
    insta::assert_snapshot!("themes_json", run_binary(&["themes", "--json"], home.path()).ok().pretty_json());
}

#[test]
fn preview_without_a_terminal_has_no_colours() {
    let home = home();
    let run = run_binary(&["themes", "own"], home.path()).ok();
    assert!(!run.out.contains('\u{1b}'), "{}", run.out);
    insta::assert_snapshot!("theme_own_text", run.out);
    let printed = run_binary(&["themes", "own", "--json"], home.path()).ok().pretty_json();
    let document: Value = serde_json::from_str(&printed).unwrap();
    let roles = document["roles"].as_array().unwrap();
    let ready = roles.iter().find(|role| role["role"] == "state.ready").unwrap();
    assert_eq!(*ready, json!({ "role": "state.ready", "fg": "#00ff00", "bg": null, "modifiers": [] }));
}

#[rstest]
#[case::default(&[], "", "ansi")]
#[case::flag(&["--theme", "dark"], "", "dark")]
#[case::configuration(&[], "theme = 'own'", "own")]
#[case::flag_wins(&["--theme", "dark"], "theme = 'own'", "dark")]
#[case::automatic(&["--theme", "auto"], "", "ansi")]
fn theme_in_use_is_marked(#[case] flags: &[&str], #[case] config: &str, #[case] used: &str) {
    let home = home();
    fs::write(home.path().join("hatchery/config.toml"), config).unwrap();
    let run = run_binary(&[flags, &["themes"]].concat(), home.path()).ok();
    let marked: Vec<_> = run.out.lines().filter(|line| line.ends_with("in use")).collect();
    assert_eq!(marked.len(), 1, "{}", run.out);
    assert_eq!(marked[0].split(' ').next(), Some(used), "{}", run.out);
}

#[test]
fn unknown_theme_names_the_known_ones() {
    let run = run_binary(&["themes", "neon"], home().path());
    assert_eq!(
        run.err,
        "hatchery: unknown theme \"neon\"; use one of ansi, mono, dark, light, deuteranopia, high-contrast, own\n"
    );
}
