//! Workers that may outlive their agent for a moment.

use std::collections::BTreeSet;
use std::time::Duration;

use convoy_proto::v1;
use tokio::time::{Instant, sleep};

/// Workers die with their agent, by the kernel; it takes milliseconds.
const LIMIT: Duration = Duration::from_secs(5);
const PERIOD: Duration = Duration::from_millis(10);

/// Waits until no worker of the job runs any more. Usually the agent has reaped them; where the agent was killed the
/// kernel kills them, and someone else reaps them.
pub(crate) async fn wait_until_gone(view: &v1::JobView) {
    let mut pids: BTreeSet<u32> = view
        .workers
        .iter()
        .map(|worker| worker.pid)
        .filter(|pid| *pid > 0)
        .collect();
    let limit = Instant::now() + LIMIT;
    while Instant::now() < limit {
        pids.retain(|pid| is_running(*pid));
        if pids.is_empty() {
            return;
        }
        sleep(PERIOD).await;
    }
}

/// Neither gone nor a zombie (proc(5), the state follows the name in brackets).
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_pid_zero_does_not() {
        assert!(is_running(std::process::id()));
        assert!(!is_running(0));
    }
}
