//! When operations fail, what they take, and how many there were.

use std::io;

/// Faults that are to come, and counters.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Faults {
    pub(in super::super) has_stopped: bool,
    pub(in super::super) crash_after: Option<u64>,
    pub(in super::super) fail_sync_after: Option<u64>,
    pub(in super::super) fail_write_after: Option<u64>,
    pub(in super::super) write_us: u64,
    pub(in super::super) sync_us: u64,
    pub(in super::super) busy_us: u64,
    pub(in super::super) changes: u64,
    pub(in super::super) syncs: u64,
}

impl Faults {
    pub(super) fn running(&self) -> io::Result<()> {
        if self.has_stopped {
            return Err(stopped());
        }
        Ok(())
    }

    /// Counts an operation that changes the disk; whether the machine stops in the middle of it.
    pub(super) fn begin_change(&mut self) -> io::Result<bool> {
        self.running()?;
        self.changes += 1;
        self.busy_us += self.write_us;
        Ok(is_due(&mut self.crash_after))
    }

    pub(super) fn end_change(&mut self, stops: bool) -> io::Result<()> {
        if stops {
            self.has_stopped = true;
            return Err(stopped());
        }
        Ok(())
    }

    /// Counts a sync; whether it fails.
    pub(super) fn begin_sync(&mut self) -> bool {
        self.syncs += 1;
        self.busy_us += self.sync_us;
        is_due(&mut self.fail_sync_after)
    }

    pub(super) fn write_fails(&mut self) -> bool {
        is_due(&mut self.fail_write_after)
    }
}

/// Counts down to something that happens once.
fn is_due(countdown: &mut Option<u64>) -> bool {
    match countdown {
        Some(0) => {
            *countdown = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

fn stopped() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}
