//! What is known of the permission to change something.

/// Why keys are disabled for credentials that can only read.
pub(crate) const CANNOT_CHANGE: &str = "read-only: your credentials cannot change things";

/// What is known of the permission to change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Writes {
    /// AWS refuses the credentials both launches and changes.
    pub(crate) refused: bool,
    /// Whether AWS has granted them.
    pub(super) granted: bool,
    /// Whether to ask AWS once the fleet is observed.
    pub(super) due: bool,
}
