//! QR codes.

use fast_qr::ECL;
use fast_qr::qr::{QRBuilder, QRCode};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

/// The light modules around a code, without which readers do not find it (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// How a code is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// With two columns for a module instead of half a row.
    pub(crate) ascii: bool,
    pub(crate) ink: Ink,
}

/// What makes modules dark and light. Many readers do not find a code that is light on dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Black on white, in colours that no scheme of the terminal replaces: those of 24 bits, or of the 256 the fixed ones.
    TrueColor,
    Indexed,
    /// The terminal's own text, which is lighter than its background.
    LightText,
    /// The terminal's own text, which is darker than its background.
    DarkText,
}

impl Ink {
    /// Returns black and white, if the code has colours.
    fn colors(self) -> Option<(Color, Color)> {
        match self {
            Self::TrueColor => Some((Color::Rgb(0, 0, 0), Color::Rgb(255, 255, 255))),
            Self::Indexed => Some((Color::Indexed(16), Color::Indexed(231))),
            Self::LightText | Self::DarkText => None,
        }
    }
}

/// A QR code with the quiet zone around it.
#[derive(Debug)]
pub(crate) struct Code {
    code: QRCode,
    look: Look,
}

impl Code {
    /// Encodes a text; `None` if it is too long.
    pub(crate) fn new(text: &str, look: Look) -> Option<Self> {
        // A screen does not get dirty, so the code is the smallest one.
        let code = QRBuilder::new(text).ecl(ECL::L).build().ok()?;
        Some(Self { code, look })
    }

    /// Returns the columns and rows that it takes.
    pub(crate) fn size(&self) -> (u16, u16) {
        let modules = self.code.size + 2 * QUIET_ZONE;
        let (width, height) =
            if self.look.ascii { (2 * modules, modules) } else { (modules, modules.div_ceil(2)) };
        (u16::try_from(width).unwrap_or(u16::MAX), u16::try_from(height).unwrap_or(u16::MAX))
    }

    /// Whether a module is dark; those outside of the code are not.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|at| *at < self.code.size);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => self.code[y][x].value(),
            _ => false,
        }
    }

    /// Draws it at the top left of an area, which has at least its size.
    pub(crate) fn draw(&self, buf: &mut Buffer, area: Rect) {
        let (width, height) = self.size();
        let colors = self.look.ink.colors();
        let style = colors.map_or_else(Style::new, |(black, white)| Style::new().fg(black).bg(white));
        // Whether text, not background, makes the module.
        let has_ink = |x: usize, y: usize| self.is_dark(x, y) != (self.look.ink == Ink::LightText);
        let place = Rect { width, height, ..area }.intersection(area);
        for position in place.positions() {
            let (x, y) = (usize::from(position.x - area.x), usize::from(position.y - area.y));
            let Some(cell) = buf.cell_mut(position) else { continue };
            cell.reset();
            if self.look.ascii {
                // Blanks, because no character of ASCII fills its cell.
                cell.set_style(match (has_ink(x / 2, y), colors) {
                    (true, Some((black, _))) => style.bg(black),
                    (true, None) => Style::new().add_modifier(Modifier::REVERSED),
                    (false, _) => style,
                });
            } else {
                // The last row has no module below.
                let lower = 2 * y + 1 < self.code.size + 2 * QUIET_ZONE;
                let symbol = match (has_ink(x, 2 * y), lower && has_ink(x, 2 * y + 1)) {
                    (true, true) => "█",
                    (true, false) => "▀",
                    (false, true) => "▄",
                    (false, false) => " ",
                };
                cell.set_symbol(symbol).set_style(style);
            }
        }
    }
}
