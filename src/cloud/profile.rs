//! The AWS profile that the environment names.

/// Returns a variable of the environment. What is not Unicode in it becomes `�`, so that the value is refused and not taken for unset.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Returns the variable that names the profile, and its value, as version 2 of the AWS CLI chooses them: a variable counts if it is set, also
/// to nothing.
pub(crate) fn profile_in_environment(
    variable: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].into_iter().find_map(|name| Some((name, variable(name)?)))
}
