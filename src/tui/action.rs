//! Everything that a person can do, in one table: keys, footer, help, palette, read-only mode and the manual all come
//! from here.

/// Something that a person can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the table says it
pub enum Action {
    Launch,
    Extend,
    Terminate,
    Open,
    OpenMenu,
    CopyUrl,
    CopyId,
    Logs,
    Details,
    Health,
    Filter,
    Sort,
    SortReverse,
    Refresh,
    NextPane,
    PreviousPane,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Follow,
    Wrap,
    Source,
    Search,
    NextMatch,
    PreviousMatch,
    Palette,
    Help,
    Theme,
    Back,
    Quit,
}

/// Where keys mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// The main screen.
    Main,
    /// One environment's details.
    Details,
    /// One environment's log.
    Logs,
    /// A page that is only read: help and health.
    Page,
}

impl Context {
    /// All contexts.
    pub const ALL: [Self; 4] = [Self::Main, Self::Details, Self::Logs, Self::Page];
}

/// The heading under which the help lists an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// What is done to environments.
    Environment,
    /// What is seen.
    View,
    /// How to move.
    Move,
    /// What is done in a log.
    Log,
    /// The rest.
    General,
}

impl Group {
    /// All groups, in the order of the help.
    pub const ALL: [Self; 5] = [Self::Environment, Self::View, Self::Move, Self::Log, Self::General];

    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Environment => "Environments",
            Self::View => "View",
            Self::Move => "Move",
            Self::Log => "Logs",
            Self::General => "General",
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Entry {
    /// The action.
    pub action: Action,
    /// Its name in the configuration.
    pub id: &'static str,
    /// Its keys unless somebody rebinds them.
    pub keys: &'static [&'static str],
    /// One word for the footer.
    pub label: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Where the help lists it.
    pub group: Group,
    /// Where its keys mean something.
    pub contexts: &'static [Context],
    /// Whether it changes anything in AWS; read-only mode turns it off.
    pub mutates: bool,
    /// Whether something is lost; it is confirmed first.
    pub destructive: bool,
    /// The order in which the footer gives up hints: the higher, the longer it stays; 0 is never shown.
    pub hint: u8,
}

const MAIN: &[Context] = &[Context::Main];
const LOGS: &[Context] = &[Context::Logs];
const ONE: &[Context] = &[Context::Main, Context::Details];
const ANY: &[Context] = &Context::ALL;

const fn entry(
    action: Action,
    id: &'static str,
    keys: &'static [&'static str],
    label: &'static str,
    help: &'static str,
    group: Group,
    contexts: &'static [Context],
) -> Entry {
    Entry { action, id, keys, label, help, group, contexts, mutates: false, destructive: false, hint: 0 }
}

impl Entry {
    const fn hint(mut self, priority: u8) -> Self {
        self.hint = priority;
        self
    }

    const fn mutates(mut self) -> Self {
        self.mutates = true;
        self
    }

    const fn destructive(mut self) -> Self {
        self.destructive = true;
        self
    }
}

/// Every action, in the order of the footer and of the help.
#[rustfmt::skip]
pub static ACTIONS: &[Entry] = {
    use Group::{Environment, General, Log, Move, View};
    &[
        entry(Action::Launch, "launch", &["l"], "launch", "Launch an environment", Environment, MAIN).mutates().hint(90),
        entry(Action::Extend, "extend", &["e"], "extend", "Give the environment more time, or keep one that is being reaped", Environment, ONE).mutates().hint(70),
        entry(Action::Terminate, "terminate", &["x"], "terminate", "Terminate the environment and its database", Environment, ONE).mutates().destructive().hint(65),
        entry(Action::Open, "open", &["o"], "open", "Open the application in the browser", Environment, ONE).hint(75),
        entry(Action::OpenMenu, "open-menu", &["O"], "open…", "Choose what to open: application, dashboard or log viewer", Environment, ONE),
        entry(Action::Logs, "logs", &["L"], "logs", "Stream the environment's log", Environment, ONE).hint(72),
        entry(Action::Details, "details", &["enter"], "details", "Show everything about the environment", Environment, MAIN).hint(60),
        entry(Action::CopyUrl, "copy-url", &["y"], "copy URL", "Copy the application's address", Environment, ONE),
        entry(Action::CopyId, "copy-id", &["Y"], "copy id", "Copy the environment's id", Environment, ONE),
        entry(Action::Follow, "follow", &["f"], "follow", "Follow the end of the log, or stop there", Log, LOGS).hint(80),
        entry(Action::Search, "search", &["/"], "search", "Search the log; every line stays in sight", Log, LOGS).hint(85),
        entry(Action::NextMatch, "next-match", &["n"], "next", "Go to the next match", Log, LOGS).hint(40),
        entry(Action::PreviousMatch, "previous-match", &["N"], "previous", "Go to the match before", Log, LOGS),
        entry(Action::Source, "source", &["s"], "source", "Show only one source, then the next, then all", Log, LOGS).hint(60),
        entry(Action::Wrap, "wrap", &["w"], "wrap", "Wrap long lines or cut them", Log, LOGS).hint(50),
        entry(Action::Filter, "filter", &["/"], "filter", "Show only what matches a name, owner, id, state or service", View, MAIN).hint(68),
        entry(Action::Sort, "sort", &["s"], "sort", "Sort by the next column", View, MAIN).hint(20),
        entry(Action::SortReverse, "sort-reverse", &["S"], "reverse", "Turn the order round", View, MAIN),
        entry(Action::Refresh, "refresh", &["r"], "refresh", "Look again now; connect again", View, ONE).hint(15),
        entry(Action::Health, "health", &["!"], "health", "Show what is wrong with the fleet and what the engine refuses", View, MAIN).hint(18),
        entry(Action::Theme, "theme", &["t"], "theme", "Go to the next theme", View, ANY),
        entry(Action::Up, "up", &["up", "k"], "up", "Up", Move, ANY),
        entry(Action::Down, "down", &["down", "j"], "down", "Down", Move, ANY),
        entry(Action::PageUp, "page-up", &["pageup", "ctrl-u"], "page up", "Half a page up", Move, ANY),
        entry(Action::PageDown, "page-down", &["pagedown", "ctrl-d"], "page down", "Half a page down", Move, ANY),
        entry(Action::Top, "top", &["home", "g"], "top", "To the top", Move, ANY),
        entry(Action::Bottom, "bottom", &["end", "G"], "bottom", "To the bottom", Move, ANY),
        entry(Action::NextPane, "next-pane", &["tab"], "pane", "To the next pane", Move, MAIN).hint(10),
        entry(Action::PreviousPane, "previous-pane", &["backtab"], "pane", "To the pane before", Move, MAIN),
        entry(Action::Palette, "palette", &[":"], "commands", "Find a command by its name", General, ANY).hint(55),
        entry(Action::Help, "help", &["?"], "help", "Show every key", General, ANY).hint(95),
        entry(Action::Back, "back", &["esc"], "back", "Close what is open; clear the filter", General, ANY).hint(93),
        entry(Action::Quit, "quit", &["q", "ctrl-c"], "quit", "Quit; what was asked for is finished by any engine", General, ANY).hint(92),
    ]
};

impl Action {
    /// Its line of the table.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        // Every action has its line; a test holds that.
        ACTIONS.iter().find(|entry| entry.action == self).unwrap_or(&ACTIONS[0])
    }
}

/// The table as Markdown, for the manual.
#[must_use]
pub fn manual() -> String {
    use std::fmt::Write as _;
    let mut page = String::new();
    for group in Group::ALL {
        let _ = write!(page, "### {}\n\n| keys | id | what it does |\n|---|---|---|\n", group.title());
        for entry in ACTIONS.iter().filter(|entry| entry.group == group) {
            let keys = entry.keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" ");
            let _ = writeln!(page, "| {keys} | `{}` | {} |", entry.id, entry.help);
        }
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_one_line_and_its_own_id() {
        for entry in ACTIONS {
            assert_eq!(entry.action.entry().id, entry.id);
            assert_eq!(ACTIONS.iter().filter(|other| other.id == entry.id).count(), 1, "{}", entry.id);
            assert!(!entry.destructive || entry.mutates, "{}", entry.id);
        }
        assert!(manual().contains("| `l` | `launch` | Launch an environment |"));
    }
}
