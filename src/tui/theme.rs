//! Themes: styles by meaning. A role that a theme does not name takes the style of its longest named prefix:
//! `state.ready`, then `state`, then `text`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use crate::failure::{Failure, Kind};

/// Every role that the screens ask for.
pub const ROLES: &[&str] = &[
    "background",
    "text",
    "text.muted",
    "text.strong",
    "heading",
    "brand",
    "border",
    "border.focus",
    "border.demo",
    "border.read-only",
    "badge.demo",
    "badge.read-only",
    "selection",
    "selection.unfocused",
    "match",
    "match.current",
    "key",
    "key.off",
    "state.launching",
    "state.starting",
    "state.ready",
    "state.stopped",
    "state.expired",
    "state.reaping",
    "state.terminating",
    "state.failed",
    "pool.free",
    "pool.creating",
    "pool.claimed",
    "pool.stale",
    "pool.failed",
    "pool.deleting",
    "pool.low",
    "pool.empty",
    "engine.on",
    "engine.off",
    "bar",
    "bar.rest",
    "spark",
    "age",
    "age.stale",
    "level.info",
    "level.warning",
    "level.error",
    "done",
    "danger",
    "field",
    "field.focus",
    "field.error",
    "log.time",
    "log.source",
];

const EMBEDDED: &[(&str, &str)] = &[
    ("ansi", include_str!("../../themes/ansi.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("deuteranopia", include_str!("../../themes/deuteranopia.toml")),
];

/// A theme, resolved. The default one has no style at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Theme {
    /// Its name.
    pub name: String,
    roles: BTreeMap<String, Style>,
}

impl Theme {
    /// The style of a role.
    #[must_use]
    pub fn style(&self, role: &str) -> Style {
        let mut prefix = role;
        loop {
            if let Some(style) = self.roles.get(prefix) {
                return *style;
            }
            match prefix.rsplit_once('.') {
                Some((shorter, _)) => prefix = shorter,
                None => return self.roles.get("text").copied().unwrap_or_default(),
            }
        }
    }
}

/// All themes that can be chosen. Clones share them.
#[derive(Debug, Clone)]
pub struct Themes {
    themes: Arc<Vec<Theme>>,
}

impl Default for Themes {
    fn default() -> Self {
        // The embedded themes are under test, so that none is lost here.
        Self::with_sources(&BTreeMap::new()).unwrap_or_else(|_| Self { themes: Arc::default() })
    }
}

impl Themes {
    /// The embedded themes and those of a folder, whose files win over embedded ones of the same name.
    ///
    /// # Errors
    /// Where a file cannot be read or is not a theme. A folder that does not exist is an empty one.
    pub fn load(folder: Option<&Path>) -> Result<Self, Failure> {
        let mut sources = BTreeMap::new();
        let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
        for path in entries.into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| broken(&name, &format!("it cannot be read: {error}")))?;
                sources.insert(name, text);
            }
        }
        Self::with_sources(&sources)
    }

    fn with_sources(own: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let mut sources: BTreeMap<&str, &str> = EMBEDDED.iter().copied().collect();
        sources.extend(own.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        let mut files = BTreeMap::new();
        for (name, text) in &sources {
            let file: File = toml::from_str(text).map_err(|error| broken(name, error.message()))?;
            files.insert((*name).to_owned(), file);
        }
        let embedded = EMBEDDED.iter().map(|(name, _)| *name);
        let others = sources.keys().copied().filter(|name| !EMBEDDED.iter().any(|(e, _)| e == name));
        let themes = embedded.chain(others).map(|name| resolve(name, &files)).collect::<Result<_, _>>()?;
        Ok(Self { themes: Arc::new(themes) })
    }

    /// The names, in the order in which the theme key goes through them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.themes.iter().map(|theme| theme.name.as_str())
    }

    /// The theme with this name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find(&self, name: &str) -> Result<Theme, Failure> {
        self.themes.iter().find(|theme| theme.name == name).cloned().ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            Failure::new(Kind::Usage, format!("there is no theme {name:?}"), format!("choose one of {names}"))
        })
    }

    /// The theme after this one.
    #[must_use]
    pub fn after(&self, name: &str) -> Option<Theme> {
        let at = self.themes.iter().position(|theme| theme.name == name).map_or(0, |at| at + 1);
        self.themes.get(at % self.themes.len().max(1)).cloned()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    inherits: Option<String>,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    #[serde(default)]
    roles: BTreeMap<String, Spec>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Spec {
    Foreground(String),
    Full(FullSpec),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools)] // one a modifier, as it is written in the file
struct FullSpec {
    fg: Option<String>,
    bg: Option<String>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    reversed: bool,
}

fn resolve(name: &str, files: &BTreeMap<String, File>) -> Result<Theme, Failure> {
    let mut chain = Vec::new();
    let mut next = Some(name);
    while let Some(current) = next {
        let file = files
            .get(current)
            .ok_or_else(|| broken(name, &format!("it inherits {current:?}, which does not exist")))?;
        if chain.len() > files.len() {
            return Err(broken(name, "it inherits itself"));
        }
        chain.push(file);
        next = file.inherits.as_deref();
    }
    let mut palette = BTreeMap::new();
    let mut specs = BTreeMap::new();
    for file in chain.into_iter().rev() {
        palette.extend(file.palette.clone());
        specs.extend(file.roles.clone());
    }
    let mut roles = BTreeMap::new();
    for (role, spec) in specs {
        if !ROLES.iter().any(|known| *known == role || known.starts_with(&format!("{role}."))) {
            return Err(broken(name, &format!("there is no role {role:?}")));
        }
        let style = style(&spec, &palette).map_err(|problem| broken(name, &format!("{role}: {problem}")))?;
        roles.insert(role, style);
    }
    Ok(Theme { name: name.to_owned(), roles })
}

fn style(spec: &Spec, palette: &BTreeMap<String, String>) -> Result<Style, String> {
    let full = match spec {
        Spec::Foreground(fg) => FullSpec { fg: Some(fg.clone()), ..FullSpec::default() },
        Spec::Full(full) => full.clone(),
    };
    let color = |name: &String| {
        let value = palette.get(name).unwrap_or(name);
        value.parse::<Color>().map_err(|_| format!("{value:?} is no color"))
    };
    let fg = full.fg.as_ref().map(color).transpose()?;
    let bg = full.bg.as_ref().map(color).transpose()?;
    let mut style = Style { fg, bg, ..Style::default() };
    for (wanted, modifier) in [
        (full.bold, Modifier::BOLD),
        (full.dim, Modifier::DIM),
        (full.italic, Modifier::ITALIC),
        (full.underlined, Modifier::UNDERLINED),
        (full.reversed, Modifier::REVERSED),
    ] {
        if wanted {
            style = style.add_modifier(modifier);
        }
    }
    Ok(style)
}

fn broken(name: &str, problem: &str) -> Failure {
    Failure::new(
        Kind::Usage,
        format!("theme {name:?} is not valid: {problem}"),
        "correct the file or choose another",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(color: Color) -> Option<f64> {
        let Color::Rgb(r, g, b) = color else { return None };
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        };
        Some(0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b))
    }

    fn contrast(a: Color, b: Color) -> Option<f64> {
        let (a, b) = (luminance(a)?, luminance(b)?);
        Some((a.max(b) + 0.05) / (a.min(b) + 0.05))
    }

    #[test]
    fn every_embedded_theme_reads() {
        let themes = Themes::with_sources(&BTreeMap::new()).unwrap();
        assert_eq!(themes.names().collect::<Vec<_>>(), ["ansi", "mono", "dark", "light", "deuteranopia"]);
        assert_eq!(themes.after("deuteranopia").unwrap().name, "ansi");
    }

    #[test]
    fn every_role_can_be_read_on_its_background() {
        // Frames and the unfilled part of a bar say nothing that a word does not say too.
        const QUIET: &[&str] =
            &["background", "border", "border.focus", "border.demo", "border.read-only", "bar.rest"];
        for name in ["dark", "light", "deuteranopia"] {
            let theme = Themes::default().find(name).unwrap();
            let screen = theme.style("background");
            for role in ROLES.iter().filter(|role| !QUIET.contains(role)) {
                let style = theme.style(role);
                let own = style.bg.or(screen.bg).unwrap();
                let grounds = if style.bg.is_some() {
                    vec![own]
                } else {
                    vec![
                        own,
                        theme.style("selection").bg.unwrap(),
                        theme.style("selection.unfocused").bg.unwrap(),
                    ]
                };
                for ground in grounds {
                    let ratio = contrast(style.fg.or(screen.fg).unwrap(), ground).unwrap();
                    assert!(ratio >= 4.5, "{name}: {role} on {ground}: {ratio:.2}");
                }
            }
        }
    }

    #[test]
    fn mono_has_no_colour_and_ansi_only_names() {
        for role in ROLES {
            let mono = Themes::default().find("mono").unwrap().style(role);
            assert_eq!((mono.fg, mono.bg), (None, None), "{role}");
            let ansi = Themes::default().find("ansi").unwrap().style(role);
            for color in [ansi.fg, ansi.bg].into_iter().flatten() {
                assert!(!matches!(color, Color::Rgb(..) | Color::Indexed(_)), "{role}");
            }
        }
    }

    #[test]
    fn a_role_falls_back_to_its_longest_prefix() {
        let own = BTreeMap::from([(
            "own".to_owned(),
            "[palette]\nsky = '#0000ff'\n[roles]\ntext = 'white'\nstate = 'sky'\n'state.ready' = { fg = 'green', bold = true }".to_owned(),
        )]);
        let theme = Themes::with_sources(&own).unwrap().find("own").unwrap();
        assert_eq!(theme.style("state.ready"), Style::new().green().bold());
        assert_eq!(theme.style("state.failed").fg, Some(Color::Rgb(0, 0, 255)));
        assert_eq!(theme.style("pool.free").fg, Some(Color::White));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, told) in [
            ("inherits = 'own'", "inherits itself"),
            ("inherits = 'x'", "does not exist"),
            ("[roles]\nnope = 'red'", "no role"),
            ("[roles]\ntext = 'reddish'", "no color"),
            ("colour = 1", "unknown field"),
        ] {
            let own = BTreeMap::from([("own".to_owned(), text.to_owned())]);
            let failure = Themes::with_sources(&own).unwrap_err();
            assert!(failure.message.contains(told), "{}", failure.message);
        }
    }
}
