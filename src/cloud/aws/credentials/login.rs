//! How the user opens the session from which the selected profile has its credentials.

use super::chain::{Base, Chain};
use super::profiles::{Choice, Profiles, Selected};
use super::source::{environment, has_web_identity};
use crate::cloud::{Login, LoginKind};

/// Returns the command that logs the user in; `None` if the credentials come from elsewhere, or if the files cannot be read.
pub(in crate::cloud::aws) async fn login_of(selected: Selected) -> Option<Login> {
    let is_option = selected.by == Choice::Option;
    if !is_option && !matches!(environment(), Ok(None)) {
        return None;
    }
    let profiles = Profiles::read(selected).await.ok()?;
    let chain = Chain::resolve(&profiles).ok()??;
    if !is_option && chain.roles.is_empty() && has_web_identity() {
        return None;
    }
    of_chain(&chain)
}

fn of_chain(chain: &Chain) -> Option<Login> {
    let kind = match chain.base {
        Base::Sso(_) => LoginKind::Sso,
        Base::Login(_) => LoginKind::Console,
        _ => return None,
    };
    Some(Login::new(kind, &chain.profile))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::console(Base::Login("arn:aws:iam::123456789012:user/amy".to_owned()), Some("aws login --profile corp"))]
    #[case::other(Base::Container, None)]
    fn login_is_that_of_the_base(#[case] base: Base, #[case] expected: Option<&str>) {
        let chain = Chain { profile: "corp".to_owned(), base, roles: Vec::new() };
        assert_eq!(of_chain(&chain).map(|login| login.to_string()).as_deref(), expected);
    }
}
