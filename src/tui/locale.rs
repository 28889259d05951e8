//! What the environment says about the characters of the terminal.

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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

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
