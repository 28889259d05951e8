//! The shells and the database console of the demo: a few commands, answered from what the simulated environment is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use crate::cloud::Console;
use crate::domain::Record;
use crate::domain::text::sanitize;
use crate::tui::Tool;

/// What the commands print about an environment.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedHost {
    pub(crate) user: String,
    pub(crate) environment: String,
    pub(crate) name: String,
    pub(crate) instance: String,
    pub(crate) database: String,
    /// The company's services and their image tags.
    pub(crate) services: BTreeMap<String, String>,
    pub(crate) minutes_up: i64,
}

impl SimulatedHost {
    /// `others` are the services that are not under test.
    pub(crate) fn new(record: &Record, user: &str, instance: &str, minutes_up: i64, others: &[&str]) -> Self {
        let mut services: BTreeMap<_, _> =
            others.iter().map(|name| ((*name).to_owned(), "latest".to_owned())).collect();
        services.extend(record.services.iter().map(|(name, tag)| (name.to_string(), tag.to_string())));
        Self {
            user: sanitize(user),
            environment: record.environment.to_string(),
            name: record.name.to_string(),
            instance: instance.to_owned(),
            database: format!("hatchery-{}", record.environment),
            services,
            minutes_up: minutes_up.max(0),
        }
    }

    fn prompt(&self, tool: Tool) -> String {
        match tool {
            Tool::Console(Console::Shell) => format!("[{}@{} ~]# ", self.user, self.environment),
            Tool::Console(Console::Database) => format!("{}=> ", self.environment),
            Tool::Kubectl => format!("{} ({}) $ ", self.user, self.environment),
        }
    }

    /// Returns the answer to a line, or `None` if it ends the program.
    fn answer(&self, tool: Tool, line: &str) -> Option<String> {
        match tool {
            Tool::Console(Console::Shell) => self.run_command(line),
            Tool::Console(Console::Database) => self.run_statement(line),
            // This shell is not the instance's.
            Tool::Kubectl => match line.split_whitespace().next() {
                None | Some("kubectl" | "exit" | "logout") => self.run_command(line),
                Some(_) => Some(
                    "This simulated shell knows kubectl get pods, kubectl get services and exit.\n"
                        .to_owned(),
                ),
            },
        }
    }

    fn run_command(&self, line: &str) -> Option<String> {
        let words: Vec<_> = line.split_whitespace().collect();
        Some(match words[..] {
            [] => String::new(),
            ["exit" | "logout", ..] => return None,
            ["help", ..] => "Commands of this simulated shell: hostname, whoami, uptime, env, kubectl get pods, kubectl get services, \
                docker ps, logs SERVICE, exit\n".to_owned(),
            ["hostname"] => format!("{}\n", self.instance),
            ["whoami"] => "root\n".to_owned(),
            ["uptime"] => format!("up {} min, 1 user, load average: 0.42, 0.51, 0.48\n", self.minutes_up),
            ["env"] => format!(
                "HATCHERY_ENVIRONMENT={}\nHATCHERY_NAME={}\nHATCHERY_DATABASE={}\n",
                self.environment, self.name, self.database
            ),
            ["kubectl", "get", "pods" | "pod" | "po", ..] => table(
                ["NAME", "READY", "STATUS", "AGE"],
                self.services.keys().map(|name| {
                    [pod(name), "1/1".to_owned(), "Running".to_owned(), format!("{}m", self.minutes_up)]
                }),
            ),
            ["kubectl", "get", "services" | "service" | "svc", ..] => table(
                ["NAME", "TYPE", "PORT(S)", "AGE"],
                self.services.keys().map(|name| {
                    [name.clone(), "ClusterIP".to_owned(), "8080/TCP".to_owned(), format!("{}m", self.minutes_up)]
                }),
            ),
            ["docker", "ps", ..] => table(
                ["CONTAINER", "IMAGE", "STATUS", "NAMES"],
                self.services.iter().map(|(name, tag)| {
                    let id = format!("{:012x}", checksum(name) * 0x1_0000);
                    [id, format!("{name}:{tag}"), format!("Up {} minutes", self.minutes_up), pod(name)]
                }),
            ),
            ["logs", service] if self.services.contains_key(service) => {
                let tag = &self.services[service];
                format!("{service}:{tag} connected to {}\n{service}:{tag} listens on port 8080\n", self.database)
            }
            ["logs", ..] => format!(
                "usage: logs SERVICE, one of {}\n",
                self.services.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
            [command, ..] => format!("{}: command not found; see help\n", sanitize(command)),
        })
    }

    fn run_statement(&self, line: &str) -> Option<String> {
        let statement = line.trim().trim_end_matches(';').to_lowercase();
        let words: Vec<_> = statement.split_whitespace().collect();
        Some(match words[..] {
            [] => String::new(),
            ["\\q" | "exit" | "quit", ..] => return None,
            ["help" | "\\?", ..] => {
                "Statements of this simulated console: \\dt, \\conninfo, select count(*) from TABLE, select version(), \\q\n"
                    .to_owned()
            }
            ["\\conninfo"] => format!("You are connected to {} as the user \"app\".\n", self.database),
            ["\\dt", ..] => table(
                ["SCHEMA", "NAME", "TYPE", "OWNER"],
                tables().map(|name| ["public", name, "table", "app"].map(str::to_owned)),
            ),
            ["select", "version()"] => "PostgreSQL 17.6\n(1 row)\n".to_owned(),
            ["select", "count(*)", "from", name] if tables().any(|table| table == name) => {
                format!(" count\n-------\n {}\n(1 row)\n", 1_000 + checksum(name) % 9_000)
            }
            ["select", "count(*)", "from", name, ..] => {
                format!("ERROR:  relation \"{}\" does not exist\n", sanitize(name))
            }
            _ => "This simulated console knows few statements; see help.\n".to_owned(),
        })
    }
}

fn tables() -> impl Iterator<Item = &'static str> {
    ["accounts", "invoices", "orders", "payments", "users"].into_iter()
}

/// Returns a number that depends on the text only, so that the same question has the same answer.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 0x1_0000_0000)
}

fn pod(service: &str) -> String {
    format!("{service}-{:08x}-{:05x}", checksum(service), checksum(service) % 0x10_0000)
}

fn table<const N: usize>(headings: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = std::iter::once(headings.map(str::to_owned)).chain(rows).collect();
    let widths: Vec<_> =
        (0..N).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        // Writes to a string do not fail.
        let _ = writeln!(text, "{}", cells.join("   ").trim_end());
    }
    text
}

/// Runs the program on the terminal until the user ends it.
pub(crate) async fn run(host: SimulatedHost, tool: Tool) {
    let what = match tool {
        Tool::Console(Console::Shell) => {
            format!("A simulated shell on {} ({}).", host.environment, host.name)
        }
        Tool::Console(Console::Database) => format!("A simulated console of {}.", host.database),
        Tool::Kubectl => format!("A simulated shell with kubectl on {}.", host.environment),
    };
    say(&format!("{what} Type help for its commands; Ctrl-D ends it.\n"));
    loop {
        say(&host.prompt(tool));
        let mut reading = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            io::stdin().read_line(&mut line).map(|count| (count, line))
        });
        // The terminal has discarded the line when Ctrl-C is pressed.
        let read = loop {
            tokio::select! {
                read = &mut reading => break read,
                Ok(()) = tokio::signal::ctrl_c() => say(&format!("\n{}", host.prompt(tool))),
            }
        };
        let Ok(Ok((count, line))) = read else { return };
        if count == 0 {
            say("\n");
            return;
        }
        match host.answer(tool, &line) {
            Some(answer) => say(&answer),
            None => return,
        }
    }
}

/// Writes to the terminal. One that is gone cannot show it.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SHELL: Tool = Tool::Console(Console::Shell);
    const DATABASE: Tool = Tool::Console(Console::Database);

    fn host() -> SimulatedHost {
        SimulatedHost {
            user: "you".to_owned(),
            environment: "dev-12".to_owned(),
            name: "checkout-fix".to_owned(),
            instance: "i-0123456789abcdef0".to_owned(),
            database: "hatchery-dev-12".to_owned(),
            services: [("kyc", "latest"), ("payments", "f-123")]
                .map(|(name, tag)| (name.to_owned(), tag.to_owned()))
                .into(),
            minutes_up: 42,
        }
    }

    #[rstest]
    #[case("hostname", "i-0123456789abcdef0\n")]
    #[case("uptime", "up 42 min")]
    #[case("env", "HATCHERY_ENVIRONMENT=dev-12\n")]
    #[case("kubectl get pods", "payments-")]
    #[case("kubectl get services", "ClusterIP")]
    #[case("docker ps", "payments:f-123")]
    #[case("docker ps", "kyc:latest")]
    #[case("logs payments", "payments:f-123 connected to hatchery-dev-12\n")]
    #[case("logs x", "usage: logs SERVICE")]
    #[case("\u{1b}[31mrm -rf /", "rm: command not found")]
    #[case("  ", "")]
    fn shell_answers(#[case] line: &str, #[case] part: &str) {
        let answer = host().answer(SHELL, line).unwrap();
        assert!(answer.contains(part) && !answer.contains('\u{1b}'), "{answer}");
    }

    #[rstest]
    #[case("\\dt", "invoices")]
    #[case("SELECT count(*) FROM orders;", "(1 row)")]
    #[case("select count(*) from pg;", "relation \"pg\" does not exist")]
    #[case("\\conninfo", "hatchery-dev-12")]
    #[case("drop table x", "see help")]
    fn database_console_answers(#[case] line: &str, #[case] part: &str) {
        let answer = host().answer(DATABASE, line).unwrap();
        assert!(answer.contains(part), "{answer}");
    }

    #[rstest]
    #[case(SHELL, "exit\n")]
    #[case(DATABASE, "\\q\n")]
    #[case(Tool::Kubectl, "exit\n")]
    fn user_ends_it(#[case] tool: Tool, #[case] line: &str) {
        assert_eq!(host().answer(tool, line), None);
    }

    #[test]
    fn prompts_name_the_environment() {
        assert_eq!(host().prompt(SHELL), "[you@dev-12 ~]# ");
        assert_eq!(host().prompt(DATABASE), "dev-12=> ");
        assert_eq!(host().prompt(Tool::Kubectl), "you (dev-12) $ ");
    }

    #[test]
    fn shell_with_kubectl_is_not_the_instances() {
        let answer = |line| host().answer(Tool::Kubectl, line).unwrap();
        assert!(answer("kubectl get pods").contains("payments-"));
        assert!(answer("hostname").contains("knows kubectl get pods"));
    }
}
