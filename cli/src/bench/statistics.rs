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

/// A median and the interval that holds the true one with a confidence of 95 %, whatever the distribution: it goes from one
/// order statistic to another. Of fewer than six values no interval has that confidence; the smallest to the largest then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Interval {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The chance that the true median lies outside of an [`Interval`].
const MISSED: f64 = 0.05;

impl Interval {
    /// `None` of nothing.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let median = Spread::of(values)?.median;
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let cut = outside(sorted.len());
        Some(Self {
            median,
            low: *sorted.get(cut)?,
            high: *sorted.get(sorted.len() - 1 - cut)?,
        })
    }

    /// Of `over[round] / under[round]`.
    pub(super) fn of_ratios(over: &[f64], under: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = over.iter().zip(under).map(|(a, b)| a / b).collect();
        Self::of(&ratios)
    }
}

/// How many of `count` sorted values may be left out at each end: the number of values below the median is binomial.
fn outside(count: usize) -> usize {
    if count > 1_000 {
        // Close to normal, and the chances below would be too small for a number.
        return (count as f64 / 2.0 - 0.98 * (count as f64).sqrt()) as usize;
    }
    let mut chance = 0.5_f64.powi(count as i32);
    let mut up_to_here = 0.0;
    for below in 0..count {
        up_to_here += chance;
        if 2.0 * up_to_here > MISSED {
            return below.saturating_sub(1);
        }
        chance *= (count - below) as f64 / (below + 1) as f64;
    }
    0
}

/// The value that a share of 0 to 1 of all values does not exceed; 0 of nothing.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * sorted.len() as f64).ceil() as usize;
    let value = sorted.get(place.clamp(1, sorted.len().max(1)) - 1);
    value.copied().unwrap_or(0.0)
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
    fn interval_of_the_median_is_that_of_the_tables() {
        // Conover, Practical Nonparametric Statistics: for 20 values the 6th and the 15th.
        let places = [
            (5, 0),
            (6, 0),
            (8, 0),
            (9, 1),
            (20, 5),
            (50, 17),
            (100, 39),
            (10_000, 4_902),
        ];
        for (count, cut) in places {
            assert_eq!(outside(count), cut, "{count}");
        }
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        let interval = Interval::of(&values).unwrap();
        assert_eq!(
            (interval.low, interval.median, interval.high),
            (6.0, 10.5, 15.0)
        );
        assert_eq!(Interval::of(&[]), None);
        let one = Interval::of_ratios(&[3.0], &[2.0]).unwrap();
        assert_eq!((one.low, one.median, one.high), (1.5, 1.5, 1.5));
    }

    #[test]
    fn quantile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), 100.0);
        assert_eq!(quantile(&values, 0.99), 198.0);
        assert_eq!(quantile(&values, 1.0), 200.0);
        assert_eq!(quantile(&[7.0], 0.01), 7.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
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
