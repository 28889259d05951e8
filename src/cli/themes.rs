//! `hatchery themes`

use ratatui::backend::IntoCrossterm as _;
use ratatui::crossterm::style::ContentStyle;
use ratatui::style::Style;

use super::context::Session;
use super::{json, table};
use crate::domain::text::sanitize;
use crate::failure::Failure;
use crate::tui::theme::{RoleStyle, Theme};

pub(crate) fn run(name: Option<&str>, session: &Session) -> Result<(), Failure> {
    let (themes, used) = session.options.themes(&session.config)?;
    let console = &session.console;
    let Some(name) = name else {
        if console.is_json() {
            return console.print_json(&json::themes(themes.iter(), &used.name));
        }
        let rows = themes.iter().map(|theme| {
            let in_use = if theme.name == used.name { "in use" } else { "" };
            vec![sanitize(&theme.name), origin(theme), in_use.to_owned()]
        });
        return console.print(&table::render(&["THEME", "ORIGIN", ""], rows.collect(), ""));
    };
    let theme = themes.find(name)?;
    if console.is_json() {
        return console.print_json(&json::theme(&theme, &used.name));
    }
    console.print(&preview(&theme, console.has_colors()))
}

fn origin(theme: &Theme) -> String {
    theme.file.as_ref().map_or_else(|| "built in".to_owned(), |file| sanitize(&file.display().to_string()))
}

/// Returns each role of a theme with its style; with colours, as it looks on the theme's background.
fn preview(theme: &Theme, colors: bool) -> String {
    let width = theme.roles().map(|(role, _)| role.len()).max().unwrap_or(0);
    let background = theme.style("background");
    let line = |(role, style): (&str, Style)| {
        let name = format!(" {role:width$} ");
        let sample = if colors { colored(background.patch(style), &name) } else { name };
        format!("{sample}  {}", describe(style)).trim_end().to_owned() + "\n"
    };
    theme.roles().map(line).collect()
}

fn colored(style: Style, text: &str) -> String {
    let style: ContentStyle = style.into_crossterm();
    style.apply(text).to_string()
}

/// Says what a style consists of, such as `#88b3f2 on #16181d, bold`.
fn describe(style: Style) -> String {
    let RoleStyle { fg, bg, modifiers } = RoleStyle::new(style);
    let colors = match (fg, bg) {
        (fg, None) => fg,
        (fg, Some(bg)) => Some(format!("{} on {bg}", fg.as_deref().unwrap_or("text"))),
    };
    colors.into_iter().chain(modifiers.into_iter().map(str::to_owned)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::Themes;

    fn line_of(theme: &str, role: &str, colors: bool) -> String {
        let theme = Themes::default().find(theme).unwrap();
        let preview = preview(&theme, colors);
        preview.lines().find(|line| line.contains(&format!(" {role} "))).unwrap().to_owned()
    }

    #[test]
    fn preview_shows_and_names_the_style() {
        let plain = line_of("dark", "state.failed", false);
        assert_eq!(plain, " state.failed          #ff8f94, bold");
        let colored = line_of("dark", "state.failed", true);
        assert!(colored.contains("38;2;255;143;148") && colored.contains("48;2;22;24;29"), "{colored:?}");
        assert!(colored.contains("\u{1b}[1m") && colored.ends_with("  #ff8f94, bold"), "{colored:?}");
        assert_eq!(line_of("ansi", "match", false), " match                 black on yellow");
        assert_eq!(line_of("dark", "selection", false), " selection             text on #2a2f3a, bold");
    }
}
