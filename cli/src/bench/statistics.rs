//! Medians and ratios.

use serde::Serialize;

/// The middle and the ends of some figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { median, min, max })
    }

    /// The spread of `over[round] / under[round]`: neighbours in time meet the same disturbances.
    pub(super) fn of_ratios(over: &[f64], under: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = over.iter().zip(under).map(|(a, b)| a / b).collect();
        Self::of(&ratios)
    }
}

/// The slowest member's time of each place: whoever is done first waits for the others.
pub(super) fn slowest(members: &[Vec<f64>]) -> Vec<f64> {
    let places = members.iter().map(Vec::len).min().unwrap_or(0);
    let slowest_at = |place: usize| {
        members
            .iter()
            .map(|member| member[place])
            .fold(0.0, f64::max)
    };
    (0..places).map(slowest_at).collect()
}

/// Who comes at which place in `round`: everyone takes each place in turn.
pub(super) fn rotation(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_number_lies_between_the_middle_two() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.5, 4.0));
        assert_eq!(Spread::of(&[5.0]).unwrap().median, 5.0);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let spread = Spread::of_ratios(&[2.0, 30.0, 8.0], &[1.0, 10.0, 2.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (2.0, 3.0, 4.0));
    }

    #[test]
    fn slowest_member_counts_at_each_place() {
        assert_eq!(slowest(&[vec![1.0, 5.0], vec![2.0, 4.0]]), [2.0, 5.0]);
        assert_eq!(slowest(&[]), [0.0; 0]);
    }

    #[test]
    fn everyone_takes_each_place() {
        let order = |round| rotation(3, round).collect::<Vec<_>>();
        assert_eq!(
            [order(0), order(1), order(5)],
            [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
        );
    }
}
