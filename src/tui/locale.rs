//! What the environment says about the characters and the background of the terminal.

/// Whether the terminal shows ASCII only: the console of Linux has a font without most symbols, a dumb terminal may have any, and a locale
/// of another encoding than UTF-8 shows the bytes of UTF-8 as other characters. A locale that is not set says nothing, because SSH and
/// containers often do not pass it on. Windows has no such variables.
pub(crate) fn is_ascii_only(variable: impl Fn(&str) -> Option<String>) -> bool {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let term = variable("TERM").unwrap_or_default();
    if matches!(term.as_str(), "dumb" | "unknown" | "linux") || term.starts_with("linux-") {
        return true;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
    !cfg!(windows) && locale.is_some_and(|locale| !is_utf8(&locale))
}

/// Whether the encoding of a locale, such as `de_DE.UTF-8@euro`, is UTF-8. macOS knows a locale that is called `UTF-8`.
fn is_utf8(locale: &str) -> bool {
    let name = locale.split('@').next().unwrap_or_default();
    let encoding = name.rsplit('.').next().unwrap_or_default();
    encoding.replace('-', "").eq_ignore_ascii_case("utf8")
}

/// Whether the terminal has a light background, by `COLORFGBG`; `None` if that is not set. Some terminals set it to the numbers of
/// their colours, such as `0;15` or `0;default;15`, of which the last is the background's. The terminal itself is not asked, because one that does not
/// answer would have to be waited for.
pub(crate) fn has_light_background(variable: impl Fn(&str) -> Option<String>) -> Option<bool> {
    let colors = variable("COLORFGBG")?;
    let (_, background) = colors.rsplit_once(';')?;
    match background.parse::<u8>().ok()? {
        0..=6 | 8 => Some(false),
        7 | 9..=15 => Some(true),
        _ => None,
    }
}

/// Returns the theme for the setting `auto`: the one for the terminal's background, or `ansi`, which suits both, if that is not known or the terminal
/// does not say that it has 24-bit colours.
pub(crate) fn automatic_theme(variable: impl Fn(&str) -> Option<String>) -> &'static str {
    let has_true_color = matches!(variable("COLORTERM").as_deref(), Some("truecolor" | "24bit"));
    match has_light_background(variable) {
        Some(true) if has_true_color => "light",
        Some(false) if has_true_color => "dark",
        _ => "ansi",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::unset(None, None)]
    #[case::dark(Some("15;0"), Some(false))]
    #[case::light(Some("0;15"), Some(true))]
    #[case::grey(Some("0;7"), Some(true))]
    #[case::dark_grey(Some("7;8"), Some(false))]
    #[case::rxvt(Some("0;default;15"), Some(true))]
    #[case::default(Some("15;default"), None)]
    #[case::not_a_colour(Some("0;16"), None)]
    #[case::one_number(Some("15"), None)]
    #[case::empty(Some(""), None)]
    fn background_by_environment(#[case] value: Option<&str>, #[case] light: Option<bool>) {
        let find = |name: &str| value.filter(|_| name == "COLORFGBG").map(str::to_owned);
        assert_eq!(has_light_background(find), light);
    }

    #[rstest]
    #[case("0;15", "truecolor", "light")]
    #[case("15;0", "24bit", "dark")]
    #[case("15;0", "", "ansi")]
    #[case("", "truecolor", "ansi")]
    fn automatic_theme_by_environment(#[case] background: &str, #[case] depth: &str, #[case] theme: &str) {
        let find = |name: &str| match name {
            "COLORFGBG" => Some(background.to_owned()),
            "COLORTERM" => Some(depth.to_owned()),
            _ => None,
        };
        assert_eq!(automatic_theme(find), theme);
    }

    #[rstest]
    #[case::nothing_set(&[], false)]
    #[case::utf8(&[("TERM", "xterm"), ("LANG", "en_US.UTF-8")], false)]
    #[case::utf8_of_glibc(&[("LANG", "C.utf8")], false)]
    #[case::modifier(&[("LANG", "de_DE.UTF-8@euro")], false)]
    #[case::macos(&[("LC_CTYPE", "UTF-8")], false)]
    #[case::c(&[("LANG", "C")], true)]
    #[case::posix(&[("LANG", "POSIX")], true)]
    #[case::no_encoding(&[("LANG", "en_US")], true)]
    #[case::latin_1(&[("LANG", "de_DE.ISO-8859-1")], true)]
    #[case::all_wins(&[("LC_ALL", "C"), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C.UTF-8")], true)]
    #[case::ctype_wins(&[("LC_CTYPE", "C.UTF-8"), ("LANG", "C")], false)]
    #[case::empty_is_unset(&[("LC_ALL", ""), ("LANG", "C.UTF-8")], false)]
    #[case::console(&[("TERM", "linux"), ("LANG", "C.UTF-8")], true)]
    #[case::console_with_colors(&[("TERM", "linux-16color")], true)]
    #[case::dumb(&[("TERM", "dumb")], true)]
    #[cfg_attr(windows, ignore = "a locale has no meaning there")]
    fn ascii_by_environment(#[case] variables: &[(&str, &str)], #[case] ascii: bool) {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(is_ascii_only(find), ascii);
    }
}
