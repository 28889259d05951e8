//! Themes map roles such as `state.ready` to styles. A role without a style of its own takes that of its longest styled
//! prefix: `state.ready`, then `state`, then `text`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use crate::failure::{Failure, Kind};

/// Every role that the views use.
const ROLES: &[&str] = &[
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
    "log.source.1",
    "log.source.2",
    "log.source.3",
    "log.source.4",
    "log.source.5",
    "log.error",
    "log.warning",
    "log.info",
    "log.debug",
    "log.context",
    "log.remark",
    "log.cursor",
    "log.selected",
];

const EMBEDDED: &[(&str, &str)] = &[
    ("ansi", include_str!("../../themes/ansi.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("deuteranopia", include_str!("../../themes/deuteranopia.toml")),
];

/// A theme after inheritance. The default has no styles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Theme {
    pub(crate) name: String,
    roles: BTreeMap<String, Style>,
}

impl Theme {
    /// Returns the style of a role or of its longest styled prefix.
    pub(crate) fn style(&self, role: &str) -> Style {
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

/// All available themes. Clones share the data.
#[derive(Debug, Clone)]
pub struct Themes {
    themes: Arc<Vec<Theme>>,
}

impl Default for Themes {
    fn default() -> Self {
        // Never falls back, because a unit test checks that the embedded themes are valid.
        Self::parse(&BTreeMap::new()).unwrap_or_else(|_| Self { themes: Arc::default() })
    }
}

impl Themes {
    /// Returns the embedded themes and those of a folder, which replace embedded ones of the same name. A missing folder
    /// counts as empty.
    ///
    /// # Errors
    /// Returns a usage failure if a file cannot be read or is not a valid theme.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, Failure> {
        let mut sources = BTreeMap::new();
        let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
        for path in entries.into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| invalid(&name, &format!("cannot read the file: {error}")))?;
                sources.insert(name, text);
            }
        }
        Self::parse(&sources)
    }

    fn parse(custom: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let mut sources: BTreeMap<&str, &str> = EMBEDDED.iter().copied().collect();
        sources.extend(custom.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        let mut files = BTreeMap::new();
        for (name, text) in &sources {
            let file: File = toml::from_str(text).map_err(|error| invalid(name, error.message()))?;
            files.insert((*name).to_owned(), file);
        }
        let embedded = EMBEDDED.iter().map(|(name, _)| *name);
        let others = sources.keys().copied().filter(|name| !EMBEDDED.iter().any(|(e, _)| e == name));
        let themes = embedded.chain(others).map(|name| resolve(name, &files)).collect::<Result<_, _>>()?;
        Ok(Self { themes: Arc::new(themes) })
    }

    /// Returns the names in the order in which the theme action cycles through them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.themes.iter().map(|theme| theme.name.as_str())
    }

    /// Returns the theme with this name.
    ///
    /// # Errors
    /// Returns a usage failure if there is none.
    pub fn find(&self, name: &str) -> Result<Theme, Failure> {
        self.themes.iter().find(|theme| theme.name == name).cloned().ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            Failure::new(Kind::Usage, format!("unknown theme {name:?}"), format!("use one of {names}"))
        })
    }

    /// Returns the theme after the named one, or the first if the name is the last or unknown.
    pub(crate) fn after(&self, name: &str) -> Option<Theme> {
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
#[allow(clippy::struct_excessive_bools)] // one per modifier, as in the file
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
            .ok_or_else(|| invalid(name, &format!("it inherits from {current:?}, which does not exist")))?;
        if chain.len() > files.len() {
            return Err(invalid(name, "it inherits from itself"));
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
            return Err(invalid(name, &format!("unknown role {role:?}")));
        }
        let style = style(&spec, &palette).map_err(|problem| invalid(name, &format!("{role}: {problem}")))?;
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
        value.parse::<Color>().map_err(|_| format!("not a color: {value:?}"))
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

fn invalid(name: &str, problem: &str) -> Failure {
    Failure::new(
        Kind::Usage,
        format!("theme {name:?} is not valid: {problem}"),
        "fix the file or choose another theme",
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

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
    fn embedded_themes_are_valid() {
        let themes = Themes::parse(&BTreeMap::new()).unwrap();
        assert_eq!(themes.names().collect::<Vec<_>>(), ["ansi", "mono", "dark", "light", "deuteranopia"]);
        assert_eq!(themes.after("deuteranopia").unwrap().name, "ansi");
    }

    #[test]
    fn every_role_has_enough_contrast() {
        // Borders and the unfilled part of a bar carry no information of their own.
        const DECORATION: &[&str] =
            &["background", "border", "border.focus", "border.demo", "border.read-only", "bar.rest"];
        for name in ["dark", "light", "deuteranopia"] {
            let theme = Themes::default().find(name).unwrap();
            let screen = theme.style("background");
            for role in ROLES.iter().filter(|role| !DECORATION.contains(role)) {
                let style = theme.style(role);
                let background = style.bg.or(screen.bg).unwrap();
                let backgrounds = if style.bg.is_some() {
                    vec![background]
                } else {
                    vec![
                        background,
                        theme.style("selection").bg.unwrap(),
                        theme.style("selection.unfocused").bg.unwrap(),
                    ]
                };
                for background in backgrounds {
                    let ratio = contrast(style.fg.or(screen.fg).unwrap(), background).unwrap();
                    // The minimum for text by WCAG 2.1, level AA.
                    assert!(ratio >= 4.5, "{name}: {role} on {background}: {ratio:.2}");
                }
            }
        }
    }

    #[test]
    fn mono_has_no_colour_and_ansi_only_named_ones() {
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
    fn role_falls_back_to_its_longest_prefix() {
        let custom = BTreeMap::from([(
            "own".to_owned(),
            "[palette]\nsky = '#0000ff'\n[roles]\ntext = 'white'\nstate = 'sky'\n'state.ready' = { fg = 'green', bold = true }".to_owned(),
        )]);
        let theme = Themes::parse(&custom).unwrap().find("own").unwrap();
        assert_eq!(theme.style("state.ready"), Style::new().green().bold());
        assert_eq!(theme.style("state.failed").fg, Some(Color::Rgb(0, 0, 255)));
        assert_eq!(theme.style("pool.free").fg, Some(Color::White));
    }

    #[rstest]
    #[case("inherits = 'own'", "inherits from itself")]
    #[case("inherits = 'x'", "does not exist")]
    #[case("[roles]\nnope = 'red'", "unknown role")]
    #[case("[roles]\ntext = 'reddish'", "not a color")]
    #[case("colour = 1", "unknown field")]
    fn invalid_theme_is_explained(#[case] text: &str, #[case] message: &str) {
        let custom = BTreeMap::from([("own".to_owned(), text.to_owned())]);
        let failure = Themes::parse(&custom).unwrap_err();
        assert!(failure.message.contains(message), "{}", failure.message);
    }
}
