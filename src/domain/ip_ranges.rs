//! Which address ranges admit the internet.

// Addresses only; `std::net` has the sockets too.
use core::net::IpAddr;

/// The length of the prefix whose blocks only the internet as a whole has.
const V4_BLOCK: u32 = 8;
const V6_BLOCK: u32 = 16;

/// First and last address; IPv4 is in the lowest 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Interval(u128, u128);

/// Returns those of the CIDR ranges that admit the internet, alone or together: `0.0.0.0/0`, but also `0.0.0.0/1` with `128.0.0.0/1`, or
/// sixteen ranges of /12. Ranges count as the internet if their union contains a whole block of public addresses, which is a /8 (for IPv6 a
/// /16). Ranges
/// that cannot be parsed, and those within others, are left out.
#[must_use]
pub fn open_ranges<'r>(ranges: impl IntoIterator<Item = &'r str>) -> Vec<&'r str> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for range in ranges {
        match parse(range) {
            Some((true, interval)) => v4.push((interval, range)),
            Some((false, interval)) => v6.push((interval, range)),
            None => {}
        }
    }
    let mut open = open_of(v4, 32 - V4_BLOCK, |block| !matches!(block, 10 | 127));
    // Unique local, link-local and multicast addresses follow the public ones.
    open.extend(open_of(v6, 128 - V6_BLOCK, |block| block < 0xfc00));
    open
}

fn open_of(
    mut ranges: Vec<(Interval, &str)>,
    block_bits: u32,
    is_public: impl Fn(u128) -> bool,
) -> Vec<&str> {
    // The widest of the ranges with the same start comes first.
    ranges.sort_unstable_by_key(|(range, text)| (range.0, std::cmp::Reverse(range.1), *text));
    let mut end = None;
    ranges.retain(|(range, _)| {
        let is_within_another = end.is_some_and(|end| range.1 <= end);
        end = end.max(Some(range.1));
        !is_within_another
    });
    let mut unions: Vec<Interval> = Vec::new();
    for (range, _) in &ranges {
        match unions.last_mut() {
            Some(last) if range.0 <= last.1.saturating_add(1) => last.1 = last.1.max(range.1),
            _ => unions.push(*range),
        }
    }
    unions.retain(|union| {
        let mut blocks = union.0 >> block_bits..=union.1 >> block_bits;
        let is_whole = |block: u128| {
            let first = block << block_bits;
            union.0 <= first && first | ((1 << block_bits) - 1) <= union.1
        };
        blocks.any(|block| is_public(block) && is_whole(block))
    });
    let is_open = |range: &Interval| unions.iter().any(|union| union.0 <= range.0 && range.1 <= union.1);
    ranges.into_iter().filter(|(range, _)| is_open(range)).map(|(_, text)| text).collect()
}

/// Parses a CIDR range. The flag says that it is of IPv4.
fn parse(range: &str) -> Option<(bool, Interval)> {
    let (address, length) = range.split_once('/')?;
    let (is_v4, bits, value) = match address.parse().ok()? {
        IpAddr::V4(address) => (true, 32, u128::from(u32::from(address))),
        IpAddr::V6(address) => (false, 128, u128::from(address)),
    };
    let host_bits = u32::checked_sub(bits, length.parse().ok()?)?;
    let mask = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
    Some((is_v4, Interval(value & !mask, value | mask)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::open_ranges;

    #[rstest]
    #[case::everything(&["0.0.0.0/0"], 1)]
    #[case::halves(&["0.0.0.0/1", "128.0.0.0/1"], 2)]
    #[case::one_half(&["128.0.0.0/1"], 1)]
    #[case::one_block(&["52.0.0.0/8"], 1)]
    #[case::pieces_of_a_block(&["52.128.0.0/9", "52.0.0.0/9"], 2)]
    #[case::within_another(&["10.0.0.0/8", "0.0.0.0/0", "0.0.0.0/0", "203.0.113.0/24"], 1)]
    #[case::pieces_with_a_gap(&["52.0.0.0/9", "52.128.0.0/10"], 0)]
    #[case::offices(&["203.0.113.0/24", "198.51.100.7/32"], 0)]
    #[case::private(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], 0)]
    #[case::private_with_public(&["10.0.0.0/8", "11.0.0.0/8", "192.168.0.0/16"], 2)]
    #[case::v6_everything(&["::/0", "10.0.0.0/8"], 1)]
    #[case::v6_halves(&["::/1", "8000::/1"], 2)]
    #[case::v6_global(&["2000::/3"], 1)]
    #[case::v6_local(&["fc00::/7", "fe80::/10"], 0)]
    #[case::v6_office(&["2001:db8::/32"], 0)]
    #[case::host_bits(&["1.2.3.4/0"], 1)]
    #[case::not_ranges(&["", "0.0.0.0", "0.0.0.0/33", "::/129", "x/0", "0.0.0.0/-1"], 0)]
    fn open(#[case] ranges: &[&str], #[case] count: usize) {
        assert_eq!(
            open_ranges(ranges.iter().copied()).len(),
            count,
            "{:?}",
            open_ranges(ranges.iter().copied())
        );
    }
}
