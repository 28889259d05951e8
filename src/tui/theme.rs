//! Themes map roles such as `state.ready` to styles. A role without a style takes that of its longest styled
//! prefix: `state.ready`, then `state`, then `text`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    "border.production",
    "badge.demo",
    "badge.read-only",
    "badge.production",
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
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
];

/// A theme after inheritance. The default has no styles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Theme {
    pub(crate) name: String,
    /// The user's file; `None` if it is built in.
    pub(crate) file: Option<PathBuf>,
    roles: BTreeMap<String, Style>,
}

/// The colours that a theme uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ColorDepth {
    None,
    /// Those of the terminal.
    Named,
    /// Those of 24 bits.
    TrueColor,
}

impl Theme {
    /// Returns every role with its style, in the order of this module.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (&'static str, Style)> {
        ROLES.iter().map(|role| (*role, self.style(role)))
    }

    /// Returns which colours it uses.
    pub(crate) fn colors(&self) -> ColorDepth {
        let colors = self.roles.values().flat_map(|style| [style.fg, style.bg]).flatten();
        let depth = |color| match color {
            Color::Rgb(..) => ColorDepth::TrueColor,
            Color::Reset => ColorDepth::None,
            _ => ColorDepth::Named,
        };
        colors.map(depth).max().unwrap_or(ColorDepth::None)
    }

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

/// A style in the words of the files of themes.
#[derive(Debug)]
pub(crate) struct RoleStyle {
    pub(crate) fg: Option<String>,
    pub(crate) bg: Option<String>,
    pub(crate) modifiers: Vec<&'static str>,
}

/// The modifiers, as they are called in the files of themes.
const MODIFIERS: [(Modifier, &str); 5] = [
    (Modifier::BOLD, "bold"),
    (Modifier::DIM, "dim"),
    (Modifier::ITALIC, "italic"),
    (Modifier::UNDERLINED, "underlined"),
    (Modifier::REVERSED, "reversed"),
];

impl RoleStyle {
    pub(crate) fn new(style: Style) -> Self {
        let color = |color: Color| color.to_string().to_lowercase();
        let modifiers = MODIFIERS.into_iter().filter(|(modifier, _)| style.add_modifier.contains(*modifier));
        Self {
            fg: style.fg.map(color),
            bg: style.bg.map(color),
            modifiers: modifiers.map(|(_, name)| name).collect(),
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
        let (mut sources, mut files) = (BTreeMap::new(), BTreeMap::new());
        let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
        for path in entries.into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| invalid(&name, &format!("cannot read the file: {error}")))?;
                sources.insert(name.clone(), text);
                files.insert(name, path);
            }
        }
        let mut themes = Self::parse(&sources)?;
        for theme in Arc::make_mut(&mut themes.themes) {
            theme.file = files.remove(&theme.name);
        }
        Ok(themes)
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

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Theme> {
        self.themes.iter()
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

    /// Returns the requested theme, else `mono` if `NO_COLOR` is set, else `ansi`.
    ///
    /// # Errors
    /// Returns a usage failure if no theme has the requested name.
    pub(crate) fn choose(&self, name: Option<&str>, no_color: bool) -> Result<Theme, Failure> {
        self.find(name.unwrap_or(if no_color { "mono" } else { "ansi" }))
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
    Ok(Theme { name: name.to_owned(), file: None, roles })
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
        assert_eq!(
            themes.names().collect::<Vec<_>>(),
            ["ansi", "mono", "dark", "light", "deuteranopia", "high-contrast"]
        );
        assert_eq!(themes.after("high-contrast").unwrap().name, "ansi");
    }

    #[test]
    fn every_role_has_enough_contrast() {
        // Borders and the unfilled part of a bar carry no information of their own.
        const DECORATION: &[&str] = &["background", "bar.rest"];
        let mut tested = Vec::new();
        for theme in Themes::default().iter().filter(|theme| theme.colors() == ColorDepth::TrueColor) {
            // The minima for text by WCAG 2.1: level AA, and level AAA where contrast is the theme's purpose.
            let name = theme.name.as_str();
            let min = if name == "high-contrast" { 7.0 } else { 4.5 };
            tested.push(name.to_owned());
            let screen = theme.style("background");
            for role in ROLES.iter().filter(|role| !DECORATION.contains(role) && !role.starts_with("border"))
            {
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
                    assert!(ratio >= min, "{name}: {role} on {background}: {ratio:.2}");
                }
            }
        }
        assert_eq!(tested, ["dark", "light", "deuteranopia", "high-contrast"]);
    }

    #[test]
    fn every_file_in_themes_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("themes");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> =
            files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        let mut embedded: Vec<_> = EMBEDDED.iter().map(|(name, _)| *name).collect();
        embedded.sort_unstable();
        assert_eq!(names, embedded);
    }

    #[test]
    fn borders_of_the_high_contrast_theme_are_visible() {
        let theme = Themes::default().find("high-contrast").unwrap();
        for role in ROLES.iter().copied().filter(|role| role.starts_with("border") || *role == "bar.rest") {
            let ratio =
                contrast(theme.style(role).fg.unwrap(), theme.style("background").bg.unwrap()).unwrap();
            assert!(ratio >= 4.5, "{role}: {ratio:.2}");
        }
    }

    #[rstest]
    #[case("mono", ColorDepth::None)]
    #[case("ansi", ColorDepth::Named)]
    #[case("light", ColorDepth::TrueColor)]
    fn colors_by_theme(#[case] name: &str, #[case] depth: ColorDepth) {
        assert_eq!(Themes::default().find(name).unwrap().colors(), depth);
    }

    #[test]
    fn themes_of_the_user_have_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["own.toml", "light.toml", "notes.txt"] {
            std::fs::write(folder.path().join(name), "inherits = 'dark'").unwrap();
        }
        let themes = Themes::load(Some(folder.path())).unwrap();
        let own: Vec<_> =
            themes.iter().filter(|theme| theme.file.is_some()).map(|theme| &theme.name).collect();
        assert_eq!(own, ["light", "own"]);
        assert_eq!(themes.find("own").unwrap().file, Some(folder.path().join("own.toml")));
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
