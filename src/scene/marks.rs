//! A key's colour and mark: the same key looks the same everywhere, and never by colour alone.

/// How many hues there are; the page's stylesheet has a colour-blind-safe set of them for light and one for dark.
pub const HUES: u8 = 8;

/// The shape of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 4] = [Self::Circle, Self::Square, Self::Triangle, Self::Diamond];
}

/// How records of one key are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// `0..HUES`, or `HUES` for records without a key.
    pub hue: u8,
    pub shape: Shape,
}

impl Mark {
    /// Records without a key: no hue of their own.
    pub const KEYLESS: Self = Self { hue: HUES, shape: Shape::Circle };
    /// How many different marks there are, the keyless one included.
    pub const COUNT: usize = (HUES as usize + 1) * Shape::ALL.len();

    /// The mark of a key.
    ///
    /// Keys that end in a number (`Key-7`, `user12`) count through the marks, so that the first 32 of a series all
    /// differ; any other key is hashed (FNV-1a).
    pub fn of_key(key: Option<&[u8]>) -> Self {
        let Some(key) = key else { return Self::KEYLESS };
        Self::nth(trailing_number(key).unwrap_or_else(|| fnv(key)))
    }

    /// The mark with this number in a series: neighbours differ in hue and in shape.
    pub fn nth(number: u64) -> Self {
        let hue = (number % u64::from(HUES)) as u8;
        let shape = Shape::ALL[((number + number / u64::from(HUES)) % 4) as usize];
        Self { hue, shape }
    }

    /// A number below [`Mark::COUNT`], different for every mark.
    pub fn index(self) -> usize {
        usize::from(self.hue) * Shape::ALL.len() + self.shape as usize
    }
}

fn trailing_number(key: &[u8]) -> Option<u64> {
    let digits = key.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let text = std::str::from_utf8(&key[key.len() - digits.min(9)..]).ok()?;
    text.parse().ok()
}

fn fnv(key: &[u8]) -> u64 {
    let hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // The lowest bits of FNV-1a depend on the last byte too much.
    hash >> 5
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_first_32_keys_of_a_series_all_look_different() {
        let marks: BTreeSet<Mark> = (0..32).map(|i| Mark::of_key(Some(format!("Key-{i}").as_bytes()))).collect();
        assert_eq!(marks.len(), 32);
    }

    #[test]
    fn neighbours_in_a_series_differ_in_hue_and_in_shape() {
        for i in 0..100 {
            let (a, b) = (Mark::nth(i), Mark::nth(i + 1));
            assert!(a.hue != b.hue && a.shape != b.shape, "{i}");
        }
    }

    #[test]
    fn a_record_without_a_key_has_a_mark_that_no_key_has() {
        assert!((0..64).all(|i| Mark::nth(i) != Mark::of_key(None)));
    }

    #[test]
    fn every_mark_has_a_number_of_its_own() {
        let numbers: BTreeSet<usize> = (0..32).map(|i| Mark::nth(i).index()).collect();
        assert_eq!(numbers.len(), 32);
        assert!(numbers.iter().all(|number| *number < Mark::COUNT));
    }

    #[test]
    fn the_four_users_of_the_notifications_scenario_have_four_hues() {
        let hues: BTreeSet<u8> =
            ["Emma", "Bruno", "Chris", "Lena"].iter().map(|key| Mark::of_key(Some(key.as_bytes())).hue).collect();
        assert_eq!(hues.len(), 4);
    }
}
