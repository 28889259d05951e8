//! The table of user actions: keys, footer, help, palette and read-only mode all read from it.

/// A user action; [`ACTIONS`] describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Launch,
    Extend,
    Undo,
    Pin,
    Hold,
    Release,
    Redeploy,
    Terminate,
    Reset,
    Open,
    OpenMenu,
    CopyUrl,
    CopyId,
    Logs,
    Shell,
    Database,
    Kubectl,
    Details,
    Diff,
    Health,
    PoolPage,
    ActivityPage,
    Present,
    NextShown,
    PreviousShown,
    Cycle,
    Images,
    Filter,
    Mine,
    Mark,
    MarkAll,
    Sort,
    SortReverse,
    Refresh,
    NextFleet,
    LogIn,
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
    NextSource,
    Search,
    NextMatch,
    PreviousMatch,
    LogFilter,
    MoreContext,
    LessContext,
    Event,
    Fold,
    Select,
    CopyLines,
    SaveLog,
    Times,
    GoToTime,
    Left,
    Right,
    Palette,
    Help,
    Theme,
    Mouse,
    Notify,
    Back,
    Suspend,
    Quit,
}

/// Where key bindings apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Context {
    Main,
    Details,
    Logs,
    /// The audit log.
    Activity,
    /// Help, health, images, the pool and comparisons.
    Page,
    /// One environment for a standup.
    Presenter,
}

impl Context {
    pub(crate) const ALL: [Self; 6] =
        [Self::Main, Self::Details, Self::Logs, Self::Activity, Self::Page, Self::Presenter];
}

/// The section of the help that lists an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Environment,
    View,
    Move,
    Log,
    General,
}

impl Group {
    /// All groups, in the order of the help.
    pub(crate) const ALL: [Self; 5] = [Self::Environment, Self::View, Self::Move, Self::Log, Self::General];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Environment => "Environments",
            Self::View => "View",
            Self::Move => "Move",
            Self::Log => "Logs",
            Self::General => "General",
        }
    }
}

/// The description of one action.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) action: Action,
    /// Its name in the configuration and in the palette.
    pub(crate) id: &'static str,
    /// The default key bindings.
    pub(crate) keys: &'static [&'static str],
    /// One or two words for the footer.
    pub(crate) label: &'static str,
    /// One sentence for the help and the palette.
    pub(crate) help: &'static str,
    pub(crate) group: Group,
    pub(crate) contexts: &'static [Context],
    /// Whether it changes anything in AWS; read-only mode disables those that do.
    pub(crate) mutates: bool,
    /// The footer drops the hint with the lowest priority first; 0 is never shown.
    pub(crate) hint_priority: u8,
}

const MAIN: &[Context] = &[Context::Main];
const LOGS: &[Context] = &[Context::Logs];
const ONE: &[Context] = &[Context::Main, Context::Details];
const PAGES: &[Context] = &[Context::Main, Context::Activity, Context::Page];
/// All screens but the log, which has its own keys.
const SCREENS: &[Context] = &[Context::Main, Context::Details, Context::Activity, Context::Page];
const PRESENTER: &[Context] = &[Context::Presenter];
/// All but presenter mode, which has no key that starts something.
const WORK: &[Context] = &[Context::Main, Context::Details, Context::Logs, Context::Activity, Context::Page];
const PRESENTABLE: &[Context] =
    &[Context::Main, Context::Details, Context::Activity, Context::Page, Context::Presenter];
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
    Entry { action, id, keys, label, help, group, contexts, mutates: false, hint_priority: 0 }
}

impl Entry {
    const fn hint(mut self, priority: u8) -> Self {
        self.hint_priority = priority;
        self
    }

    const fn mutates(mut self) -> Self {
        self.mutates = true;
        self
    }
}

/// Every action, in the order of the footer and the help.
#[rustfmt::skip]
pub(crate) static ACTIONS: &[Entry] = {
    use Group::{Environment, General, Log, Move, View};
    &[
        entry(Action::Launch, "launch", &["l"], "launch", "Launch an environment", Environment, MAIN).mutates().hint(90),
        entry(Action::Extend, "extend", &["e"], "extend", "Extend the environment, or keep one that is being reaped", Environment, ONE).mutates().hint(70),
        entry(Action::Undo, "undo", &["z"], "undo", "Undo your last extension, within five minutes", Environment, ONE).mutates().hint(71),
        entry(Action::Pin, "pin", &["p"], "keep until…", "Keep the environment until a time of the day, such as for a demo", Environment, ONE).mutates(),
        entry(Action::Hold, "hold", &["H"], "hold", "Hold the failed environment, or the database selected in the pool, for inspection", Environment, ONE).mutates(),
        entry(Action::Release, "release", &["R"], "release", "End a hold; a database is deleted then", Environment, ONE).mutates(),
        entry(Action::Redeploy, "redeploy", &["u"], "redeploy", "Deploy other versions of the environment's services", Environment, ONE).mutates().hint(62),
        entry(Action::Terminate, "terminate", &["x"], "terminate", "Terminate the environment and delete its database", Environment, ONE).mutates().hint(65),
        entry(Action::Reset, "reset", &["ctrl-r"], "reset", "Give the environment a fresh database and delete the one it has", Environment, ONE).mutates(),
        entry(Action::Open, "open", &["o"], "open", "Open the application in the browser", Environment, ONE).hint(75),
        entry(Action::OpenMenu, "open-menu", &["O"], "open…", "Choose what to open: application, dashboard or log viewer", Environment, ONE),
        entry(Action::Logs, "logs", &["L"], "logs", "Stream the environment's log", Environment, ONE).hint(72),
        entry(Action::Shell, "shell", &["s"], "shell", "Open a shell on the environment's instance", Environment, ONE).mutates().hint(30),
        entry(Action::Database, "database", &["D"], "database", "Open a console of the environment's database", Environment, ONE).mutates().hint(25),
        entry(Action::Kubectl, "kubectl", &["K"], "kubectl", "Open a shell of this computer in which kubectl works on the environment", Environment, ONE).mutates(),
        entry(Action::Details, "details", &["enter"], "details", "Show the environment's details, or the page of the pane with the focus", Environment, MAIN).hint(60),
        entry(Action::Diff, "diff", &["="], "compare", "Compare the services with those of another environment", Environment, ONE),
        entry(Action::CopyUrl, "copy-url", &["y"], "copy URL", "Copy the application's URL", Environment, ONE),
        entry(Action::CopyId, "copy-id", &["Y"], "copy id", "Copy the environment's id", Environment, ONE),
        entry(Action::Follow, "follow", &["f"], "follow", "Follow the end of the log, or pause", Log, LOGS).hint(80),
        entry(Action::Search, "search", &["/"], "search", "Search the log without hiding lines", Log, LOGS).hint(85),
        entry(Action::NextMatch, "next-match", &["n"], "next", "Go to the next match", Log, LOGS).hint(40),
        entry(Action::PreviousMatch, "previous-match", &["N"], "previous", "Go to the previous match", Log, LOGS),
        entry(Action::LogFilter, "log-filter", &["&"], "filter", "Show only the lines with a text, and some around each; again: all lines", Log, LOGS).hint(58),
        entry(Action::MoreContext, "more-context", &["+"], "more", "Show a line more around each that the filter matches", Log, LOGS),
        entry(Action::LessContext, "less-context", &["-"], "fewer", "Show a line fewer around each that the filter matches", Log, LOGS),
        entry(Action::Source, "source", &["s"], "sources", "Choose the log's sources", Log, LOGS).hint(60),
        entry(Action::NextSource, "next-source", &["tab"], "next source", "Cycle through the log's sources: each alone, then all", Log, LOGS),
        entry(Action::Wrap, "wrap", &["w"], "wrap", "Wrap or truncate long lines", Log, LOGS).hint(50),
        entry(Action::Left, "left", &["left", "h"], "left", "Scroll truncated lines to the left", Log, LOGS),
        entry(Action::Right, "right", &["right", "l"], "right", "Scroll truncated lines to the right", Log, LOGS),
        entry(Action::Event, "event", &["enter"], "whole", "Show the whole event of the line, with a line for each field of JSON", Log, LOGS).hint(48),
        entry(Action::Fold, "fold", &["J"], "fold JSON", "Show JSON lines as level and message, or as they are", Log, LOGS),
        entry(Action::Times, "times", &["Z"], "times", "Show local times, UTC, or ages", Log, LOGS),
        entry(Action::GoToTime, "go-to-time", &["T"], "go to time", "Go to a time, such as 14:05 or -10m", Log, LOGS),
        entry(Action::Select, "select", &["v"], "select", "Begin or end a selection of lines", Log, LOGS),
        entry(Action::CopyLines, "copy-lines", &["y"], "copy", "Copy the line or the selected lines", Log, LOGS).hint(38),
        entry(Action::SaveLog, "save-log", &["S"], "save", "Save the lines that are shown, or the selected ones, to a file", Log, LOGS).hint(36),
        entry(Action::Filter, "filter", &["/"], "filter", "Filter by words, or terms such as owner:amy state:ready", View, PAGES).hint(68),
        entry(Action::Mine, "mine", &["M"], "mine", "Show only your environments, or all", View, MAIN).hint(17),
        entry(Action::Mark, "mark", &["space"], "mark", "Mark it; extend, keep until and terminate act on all marked ones", View, MAIN).hint(19),
        entry(Action::MarkAll, "mark-all", &["*"], "mark all", "Mark all environments in the table, or remove all marks", View, MAIN),
        entry(Action::Sort, "sort", &["c"], "sort", "Sort by the next column", View, MAIN).hint(20),
        entry(Action::SortReverse, "sort-reverse", &["C"], "reverse", "Reverse the sort order", View, MAIN),
        entry(Action::Refresh, "refresh", &["r"], "refresh", "Refresh now; reconnect after a failure", View, ONE).hint(15),
        entry(Action::LogIn, "log-in", &["I"], "log in", "Log in with the AWS CLI: aws sso login or aws login, as the profile needs it", View, SCREENS).hint(91),
        entry(Action::PoolPage, "pool", &["P"], "pool", "Show the pool: its databases, its history, and what the engine does next", View, PAGES).hint(12),
        entry(Action::ActivityPage, "activity", &["a"], "activity", "Show the audit log of the last days, with each change", View, PAGES).hint(11),
        entry(Action::Present, "present", &["F"], "present", "Show one environment at a time in large letters, for a standup; again: leave", View, PRESENTABLE),
        entry(Action::PreviousShown, "previous-environment", &["left", "h"], "previous", "Show the previous environment in presenter mode", View, PRESENTER).hint(80),
        entry(Action::NextShown, "next-environment", &["right", "l"], "next", "Show the next environment in presenter mode", View, PRESENTER).hint(85),
        entry(Action::Cycle, "cycle", &["space"], "cycle", "Show the next environment every 15 seconds in presenter mode, or stop", View, PRESENTER).hint(83),
        entry(Action::Images, "images", &["i"], "images", "Show the images and the pipelines that build them", View, MAIN).hint(16),
        entry(Action::Health, "health", &["!"], "health", "Show the fleet's problems and the steps the engine refused", View, MAIN).hint(34),
        entry(Action::Theme, "theme", &["t"], "theme", "Switch to the next theme", View, ANY),
        entry(Action::Mouse, "mouse", &["m"], "mouse", "Leave the mouse to the terminal, to select text, or take it back", View, ANY),
        entry(Action::Notify, "notify", &["N"], "notify", "Turn notifications off, or on again", View, SCREENS),
        entry(Action::Up, "up", &["up", "k"], "up", "Move up", Move, ANY),
        entry(Action::Down, "down", &["down", "j"], "down", "Move down", Move, ANY),
        entry(Action::PageUp, "page-up", &["pageup", "ctrl-u"], "page up", "Move half a page up", Move, ANY),
        entry(Action::PageDown, "page-down", &["pagedown", "ctrl-d"], "page down", "Move half a page down", Move, ANY),
        entry(Action::Top, "top", &["home", "g"], "top", "Go to the top", Move, ANY),
        entry(Action::Bottom, "bottom", &["end", "G"], "bottom", "Go to the bottom", Move, ANY),
        entry(Action::NextFleet, "fleet", &["f"], "fleet", "Go to the next fleet; :fleet NAME goes to one", Move, MAIN).hint(18),
        entry(Action::NextPane, "next-pane", &["tab"], "pane", "Go to the next pane", Move, MAIN).hint(10),
        entry(Action::PreviousPane, "previous-pane", &["backtab"], "pane", "Go to the previous pane", Move, MAIN),
        entry(Action::Palette, "palette", &[":"], "commands", "Find a command by name", General, WORK).hint(55),
        entry(Action::Help, "help", &["?"], "help", "Show all keys", General, ANY).hint(95),
        entry(Action::Back, "back", &["esc"], "back", "Close the screen or dialog; clear the filter", General, ANY).hint(93),
        entry(Action::Suspend, "suspend", &["ctrl-z"], "suspend", "Suspend hatchery; the shell's command fg continues it", General, ANY),
        entry(Action::Quit, "quit", &["q", "ctrl-c"], "quit", "Quit; any engine completes what you requested", General, ANY).hint(92),
    ]
};

impl Action {
    /// The action's row of [`ACTIONS`].
    pub(crate) fn entry(self) -> &'static Entry {
        // Every action has a row, as a unit test checks.
        ACTIONS.iter().find(|entry| entry.action == self).unwrap_or(&ACTIONS[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_one_row_and_a_unique_id() {
        for entry in ACTIONS {
            assert_eq!(entry.action.entry().id, entry.id);
            assert_eq!(ACTIONS.iter().filter(|other| other.id == entry.id).count(), 1, "{}", entry.id);
        }
    }
}
