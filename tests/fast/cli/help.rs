//! What `--help`, the manual page and the completions say of each command.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rstest::rstest;

use super::harness::run_binary;

const COMMANDS: [&str; 27] = [
    "demo",
    "ls",
    "pool",
    "activity",
    "images",
    "services",
    "launch",
    "extend",
    "redeploy",
    "diff",
    "pin",
    "hold",
    "terminate",
    "reset",
    "logs",
    "open",
    "ssh",
    "db",
    "kubeconfig",
    "connect",
    "engine",
    "doctor",
    "fleet",
    "stack",
    "themes",
    "completions",
    "man",
];

fn output(arguments: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let run = run_binary(arguments, home.path()).ok();
    assert_eq!(run.err, "");
    // The long help indents empty lines.
    run.out.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

#[rstest]
#[case::hatchery("")]
#[case::demo("demo")]
#[case::ls("ls")]
#[case::pool("pool")]
#[case::activity("activity")]
#[case::images("images")]
#[case::images_bake("images bake")]
#[case::services("services")]
#[case::launch("launch")]
#[case::extend("extend")]
#[case::pin("pin")]
#[case::hold("hold")]
#[case::redeploy("redeploy")]
#[case::diff("diff")]
#[case::terminate("terminate")]
#[case::reset("reset")]
#[case::logs("logs")]
#[case::open("open")]
#[case::ssh("ssh")]
#[case::db("db")]
#[case::kubeconfig("kubeconfig")]
#[case::connect("connect")]
#[case::engine("engine")]
#[case::doctor("doctor")]
#[case::fleet("fleet")]
#[case::fleet_ls("fleet ls")]
#[case::fleet_show("fleet show")]
#[case::fleet_set("fleet set")]
#[case::fleet_init("fleet init")]
#[case::stack("stack")]
#[case::themes("themes")]
#[case::completions("completions")]
#[case::man("man")]
fn help_of_each_command(#[case] command: &str) {
    let mut arguments: Vec<_> = command.split_whitespace().collect();
    arguments.push("--help");
    let long = output(&arguments);
    let name = if command.is_empty() { "hatchery".to_owned() } else { command.replace(' ', "_") };
    insta::assert_snapshot!(format!("help_{name}"), long);
    arguments.pop();
    arguments.push("-h");
    let short = output(&arguments);
    // The long help only lists the values of an argument one per line.
    for line in short.lines().filter(|line| !line.contains("possible values") && !line.contains("--help")) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert!(words.iter().all(|word| long.contains(word)), "{line:?} is not in the long help");
    }
}

#[test]
fn help_covers_every_command() {
    let help = output(&["--help"]);
    let listed: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert_eq!(listed, COMMANDS);
}

#[test]
fn manual_page() {
    insta::assert_snapshot!("man_page", output(&["man"]).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[rstest]
#[case::bash("bash")]
#[case::elvish("elvish")]
#[case::fish("fish")]
#[case::powershell("powershell")]
#[case::zsh("zsh")]
fn completions_name_every_command(#[case] shell: &str) {
    let script = output(&["completions", shell]);
    for command in COMMANDS.into_iter().chain(["show", "set", "init", "fleet", "read-only"]) {
        assert!(script.contains(command), "{command} in {script}");
    }
}

#[test]
fn bash_accepts_its_completions() {
    let script = output(&["completions", "bash"]);
    let spawned = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    // Not every machine has bash.
    let Ok(mut bash) = spawned else { return };
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let checked = bash.wait_with_output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
