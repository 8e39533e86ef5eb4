//! The memory of a worker, watched against its limit.
//!
//! What counts is what only the worker can give back: its own pages, shared memory, and what of it was swapped out. Files
//! that it maps, such as a dataset, are the kernel's to drop and don't count. `RLIMIT_AS` would count addresses, of which
//! libtorch and CUDA reserve many times what they use. A cgroup would be an exact bound, but needs one that was delegated
//! to the agent's user; reading `/proc` needs nothing, and takes the worker by surprise at most a moment late.

use std::fmt;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// A worker that allocates 1 GB/s is caught within 200 MB above its limit; each look costs some ten microseconds.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

const MIB: u64 = 1 << 20;

/// A worker used too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    used_mib: u64,
    limit_mib: u64,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            used_mib,
            limit_mib,
        } = self;
        write!(
            f,
            "it used {used_mib} MiB of memory, more than the {limit_mib} MiB that this node allows \
             (worker_memory_limit_mib), and was killed by the agent"
        )
    }
}

/// Returns once the process uses more than `limit_mib`; waits for ever while it does not, or there is no limit.
pub(crate) async fn exceeded(pid: u32, limit_mib: Option<u64>) -> Excess {
    let Some(limit_mib) = limit_mib else {
        return std::future::pending().await;
    };
    let mut looks = interval(LOOK_PERIOD);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        // Gone once the process has ended, which is noticed elsewhere.
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
            continue;
        };
        let used = used_bytes(&status);
        if used > limit_mib.saturating_mul(MIB) {
            return Excess {
                used_mib: used.div_ceil(MIB),
                limit_mib,
            };
        }
    }
}

/// From the lines of `/proc/PID/status` (proc_pid_status(5)), which give kibibytes.
fn used_bytes(status: &str) -> u64 {
    ["RssAnon:", "RssShmem:", "VmSwap:"]
        .iter()
        .filter_map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kibibytes.saturating_mul(1 << 10))
        })
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_files_do_not_count() {
        let status = "Name:\tconvoy-worker\nVmRSS:\t 9000000 kB\nRssAnon:\t    2048 kB\nRssFile:\t 8000000 kB\n\
                      RssShmem:\t    1024 kB\nVmSwap:\t    1024 kB\nThreads:\t9\n";
        assert_eq!(used_bytes(status), 4 * MIB);
    }

    #[test]
    fn process_without_memory_of_its_own_uses_none() {
        assert_eq!(used_bytes("Name:\tzombie\nState:\tZ (zombie)\n"), 0);
        assert_eq!(used_bytes("RssAnon:\t lots kB\n"), 0);
    }

    #[test]
    fn excess_is_told_with_both_numbers() {
        let excess = Excess {
            used_mib: 17_000,
            limit_mib: 16_384,
        };
        let text = excess.to_string();
        assert!(
            text.contains("used 17000 MiB") && text.contains("the 16384 MiB"),
            "{text}"
        );
    }
}
