//! The dependency rule of `ARCHITECTURE.md`, held by a test.

use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The code of a file without its comments and its unit tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Which part of the crate a file belongs to: `domain`, `cloud/aws`, …
fn part(path: &Path) -> String {
    let path = path.strip_prefix(source_root()).unwrap().with_extension("");
    let mut parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    let first = parts.next().unwrap();
    match parts.next() {
        Some(second) if first == "cloud" => format!("cloud/{second}"),
        _ => first,
    }
}

/// What a part must not name.
fn forbidden(part: &str) -> &'static [&'static str] {
    match part {
        "domain" => &[
            "crate::cloud",
            "crate::engine",
            "crate::tui",
            "crate::cli",
            "crate::clock",
            "crate::config",
            "crate::failure",
            "tokio",
            "std::fs",
            "std::env",
            "std::net",
        ],
        "cloud" => &["crate::engine", "crate::tui", "crate::cli", "crate::config"],
        "cloud/aws" => &["crate::engine", "crate::tui", "crate::cli", "crate::config", "cloud::sim"],
        "cloud/sim" => &["crate::engine", "crate::tui", "crate::cli", "crate::config", "cloud::aws"],
        "engine" => &["crate::tui", "crate::cli", "crate::config", "cloud::aws", "cloud::sim"],
        "tui" => &["crate::cli", "cloud::aws", "cloud::sim"],
        _ => &[],
    }
}

#[test]
fn nobody_knows_more_than_the_rule_allows() {
    let mut broken = Vec::new();
    for path in sources(&source_root()) {
        let part = part(&path);
        let code = code(&path);
        for name in forbidden(&part) {
            if code.contains(name) {
                broken.push(format!("{} names {name}", path.display()));
            }
        }
        if part != "cloud/aws" && code.contains("aws_sdk_") {
            broken.push(format!("{} names the AWS SDK", path.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<_> = sources(&source_root())
        .into_iter()
        .map(|path| (std::fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > 550)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}
