//! Large letters, from a font of 8 by 8 pixels.

use font8x8::legacy::BASIC_LEGACY;

/// The pixels of a letter in each direction.
const PIXELS: usize = 8;

/// The sizes of a letter: how many pixels one cell has, in each direction.
const SIZES: [(usize, usize); 3] = [(1, 1), (1, 2), (2, 2)];

/// A cell of 2 by 2 pixels, by the bits upper left, upper right, lower left, lower right.
const QUADRANTS: [&str; 16] =
    [" ", "▘", "▝", "▀", "▖", "▌", "▞", "▛", "▗", "▚", "▐", "▜", "▄", "▙", "▟", "█"];

/// Returns the rows of a text in the largest letters that fit; `None` if none do, or if the font lacks one.
pub(crate) fn rows(text: &str, width: usize, height: usize, ascii: bool) -> Option<Vec<String>> {
    if text.is_empty() || !text.chars().all(|c| matches!(c, ' '..='~')) {
        return None;
    }
    let sizes = if ascii { &SIZES[..1] } else { &SIZES };
    let fits = |(x, y): &&(usize, usize)| text.len() * PIXELS / x <= width && PIXELS / y <= height;
    let (x, y) = *sizes.iter().find(fits)?;
    Some((0..PIXELS / y).map(|row| self::row(text, row * y, (x, y), ascii)).collect())
}

fn row(text: &str, top: usize, (x, y): (usize, usize), ascii: bool) -> String {
    let mut cells = String::new();
    for letter in text.bytes() {
        let glyph = BASIC_LEGACY.get(usize::from(letter)).copied().unwrap_or_default();
        for left in (0..PIXELS).step_by(x) {
            // The lowest bit is the leftmost pixel.
            let pixel = |right: usize, down: usize| {
                let (right, down) = (left + right.min(x - 1), top + down.min(y - 1));
                usize::from(glyph[down] >> right & 1)
            };
            let quadrant = pixel(0, 0) | pixel(1, 0) << 1 | pixel(0, 1) << 2 | pixel(1, 1) << 3;
            cells.push_str(match QUADRANTS[quadrant] {
                "█" if ascii => "#",
                symbol => symbol,
            });
        }
    }
    cells.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_as_large_as_fits() {
        let size = |width, height| rows("ab", width, height, false).map(|rows| rows.len());
        assert_eq!(size(16, 8), Some(8));
        assert_eq!(size(16, 7), Some(4));
        assert_eq!(size(15, 8), Some(4));
        assert_eq!(size(7, 8), None);
        assert_eq!(size(16, 3), None);
        assert_eq!(rows("äb", 99, 99, false), None);
        assert_eq!(rows("", 99, 99, false), None);
    }

    #[test]
    fn letter_looks_like_itself() {
        assert_eq!(rows("L", 4, 4, false).unwrap(), ["▜▛", "▐▌", "▐▌▗▌", "▀▀▀▘"]);
        let ascii = rows("L", 8, 8, true).unwrap();
        assert_eq!(ascii, ["####", " ##", " ##", " ##", " ##   #", " ##  ##", "#######", ""]);
    }
}
