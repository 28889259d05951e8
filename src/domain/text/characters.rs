//! How characters of outside text are shown.
//!
//! The properties are those of Unicode: <https://www.unicode.org/reports/tr44/>.

use icu_properties::props::{DefaultIgnorableCodePoint, Emoji, ExtendedPictographic, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_width::UnicodeWidthChar as _;

/// Joins emoji, such as those of a family.
pub(super) const JOINER: char = '\u{200d}';

/// How a character is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// In its own columns.
    Base,
    /// On the character before it.
    Mark,
    /// As [`Kind::Mark`], and only after an emoji, whose appearance it chooses.
    EmojiVariation,
    /// As one space.
    Space,
    /// Never. Control characters have no appearance.
    Control,
    /// Never. Terminals show nothing, something of a width of their own, or other text in another order.
    Hidden,
}

impl Kind {
    pub(super) fn of(c: char) -> Self {
        match c {
            ' '..='~' => return Self::Base,
            '\t' | '\n' | '\u{2028}' | '\u{2029}' => return Self::Space,
            '\u{fe0e}' | '\u{fe0f}' => return Self::EmojiVariation,
            _ if c.is_control() => return Self::Control,
            _ => {}
        }
        if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) {
            return Self::Hidden;
        }
        match CodePointMapData::<GeneralCategory>::new().get(c) {
            // The signs of Arabic numbers are format characters. They enclose the digits that follow.
            GeneralCategory::Format | GeneralCategory::PrivateUse | GeneralCategory::Unassigned => {
                Self::Hidden
            }
            // The vowels of Hangul syllables are letters without a width.
            _ if c.width() == Some(0) => Self::Mark,
            GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark => Self::Mark,
            _ => Self::Base,
        }
    }
}

/// Whether the character can be joined to another emoji.
pub(super) fn is_pictograph(c: char) -> bool {
    // The property is also that of characters which Unicode only reserves.
    CodePointSetData::new::<ExtendedPictographic>().contains(c) && Kind::of(c) == Kind::Base
}

/// Whether the character has an appearance as an emoji, as digits have in keycaps.
pub(super) fn is_emoji(c: char) -> bool {
    CodePointSetData::new::<Emoji>().contains(c)
}
