//! A picture of the screen, for the README and the demo.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Color as Ansi, Effects, RgbColor};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier, Style};

use super::app::Model;
use super::screens;
use super::theme::Theme;

/// The screen of this size as an SVG.
#[must_use]
pub fn picture(model: &Model, theme: &Theme, width: u16, height: u16) -> String {
    let mut model = model.clone();
    model.theme = theme.clone();
    model.size = Size::new(width, height);
    model.reveal();
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    screens::draw(&model, &mut buf);
    let ground = theme.style("background");
    let mut term = anstyle_svg::Term::new().palette(anstyle_svg::WIN10_CONSOLE);
    term = term.fg_color(ground.fg.and_then(color).unwrap_or(Ansi::Rgb(RgbColor(0xd8, 0xde, 0xe9))));
    term = term.bg_color(ground.bg.and_then(color).unwrap_or(Ansi::Rgb(RgbColor(0x16, 0x18, 0x1d))));
    term.render_svg(&ansi(&buf, ground))
}

/// The buffer as text with escape sequences.
fn ansi(buf: &Buffer, ground: Style) -> String {
    let mut text = String::new();
    for y in 0..buf.area.height {
        let mut current = anstyle::Style::new();
        let mut skip = 0;
        for x in 0..buf.area.width {
            let Some(cell) = buf.cell((x, y)) else { continue };
            if skip > 0 {
                skip -= 1;
                continue;
            }
            // What the picture has by itself needs no saying.
            let fg = if ground.fg == Some(cell.fg) { Color::Reset } else { cell.fg };
            let bg = if ground.bg == Some(cell.bg) { Color::Reset } else { cell.bg };
            let style = style(fg, bg, cell.modifier);
            if style != current {
                let _ = write!(text, "{}{}", anstyle::Reset.render(), style.render());
                current = style;
            }
            text.push_str(cell.symbol());
            // A wide character covers the cells behind it.
            skip = super::text::width(cell.symbol()).saturating_sub(1);
        }
        let _ = writeln!(text, "{}", anstyle::Reset.render());
    }
    text
}

fn style(fg: Color, bg: Color, modifier: Modifier) -> anstyle::Style {
    let mut effects = Effects::new();
    for (has, effect) in [
        (Modifier::BOLD, Effects::BOLD),
        (Modifier::DIM, Effects::DIMMED),
        (Modifier::ITALIC, Effects::ITALIC),
        (Modifier::UNDERLINED, Effects::UNDERLINE),
        (Modifier::REVERSED, Effects::INVERT),
    ] {
        if modifier.contains(has) {
            effects |= effect;
        }
    }
    anstyle::Style::new().fg_color(color(fg)).bg_color(color(bg)).effects(effects)
}

fn color(color: Color) -> Option<Ansi> {
    Some(match color {
        Color::Reset => return None,
        Color::Rgb(r, g, b) => RgbColor(r, g, b).into(),
        Color::Indexed(index) => anstyle::Ansi256Color(index).into(),
        Color::Black => AnsiColor::Black.into(),
        Color::Red => AnsiColor::Red.into(),
        Color::Green => AnsiColor::Green.into(),
        Color::Yellow => AnsiColor::Yellow.into(),
        Color::Blue => AnsiColor::Blue.into(),
        Color::Magenta => AnsiColor::Magenta.into(),
        Color::Cyan => AnsiColor::Cyan.into(),
        Color::Gray => AnsiColor::White.into(),
        Color::DarkGray => AnsiColor::BrightBlack.into(),
        Color::LightRed => AnsiColor::BrightRed.into(),
        Color::LightGreen => AnsiColor::BrightGreen.into(),
        Color::LightYellow => AnsiColor::BrightYellow.into(),
        Color::LightBlue => AnsiColor::BrightBlue.into(),
        Color::LightMagenta => AnsiColor::BrightMagenta.into(),
        Color::LightCyan => AnsiColor::BrightCyan.into(),
        Color::White => AnsiColor::BrightWhite.into(),
    })
}
