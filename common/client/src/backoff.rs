//! How long to wait before trying again.

use std::time::Duration;

/// A coordinator on the same machine is there within milliseconds of its start.
const FIRST_MS: u64 = 20;

/// A longer wait than this would be felt once a coordinator is back.
const LONGEST_MS: u64 = 1_000;

/// An election takes half a second as a rule; what is waited beyond it delays everyone.
const LONGEST_ELECTING_MS: u64 = 250;

/// The wait before try number `failed` + 1: doubles each time, and is cut to between half and all of that by `random`, so
/// that a thousand workers whose leader died don't all come back in the same millisecond. Shorter while coordinators are
/// there and elect a leader.
pub(crate) fn wait_after(failed: u32, electing: bool, random: u64) -> Duration {
    let doublings = failed.saturating_sub(1).min(16);
    let longest = if electing {
        LONGEST_ELECTING_MS
    } else {
        LONGEST_MS
    };
    let full = (FIRST_MS << doublings).min(longest);
    let half = full / 2;
    Duration::from_millis(half + random % (half + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_doubles_up_to_a_bound() {
        for (electing, longest) in [(false, 1000), (true, 250)] {
            for failed in 1..100 {
                let full = (20u128 << (failed - 1).min(16)).min(longest);
                for random in [0, 1, 7, 499, 500, 501, u64::MAX] {
                    let wait = wait_after(failed, electing, random).as_millis();
                    assert!(
                        (full / 2..=full).contains(&wait),
                        "{failed} {random} {wait}"
                    );
                }
            }
        }
    }
}
