//! Where and when something was measured.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// A mean of so many running processes before anything of ours ran; a core that was just used counts for a minute.
const BUSY: f64 = 0.75;

/// What a figure depends on besides the programs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    /// As the kernel names it.
    pub(super) cpu: String,
    /// Those that this process and all that it starts may use; `taskset` narrows them for all contenders alike.
    pub(super) cores: usize,
    /// Processes that wanted to run in the last minute, when the benchmark began.
    pub(super) load_before: Option<f64>,
    pub(super) kernel: String,
    /// UTC, when the benchmark began.
    pub(super) date: String,
}

impl Machine {
    /// This one, now.
    pub(super) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Self {
            cpu: cpu_model(&read("/proc/cpuinfo")),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load_before: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            date: utc(seconds),
        }
    }

    /// One line for people.
    pub(super) fn summary(&self) -> String {
        let Self { cpu, cores, .. } = self;
        let cores = crate::words::count(*cores as u64, "core");
        match self.load_before {
            Some(load) if load > BUSY => {
                format!("{cpu}, {cores}; the machine is busy (load {load}), so figures are rough")
            }
            Some(_) | None => format!("{cpu}, {cores}"),
        }
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    let model = cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == "model name")
        .map(|(_, value)| value.trim().to_owned());
    model.unwrap_or_else(|| "unknown CPU".to_owned())
}

/// `2026-11-24T05:09:00Z`. Days to dates as in Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn utc(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        let dates = [0, 951_782_399, 951_782_400, 951_868_800, 1_795_496_940].map(utc);
        assert_eq!(
            dates,
            [
                "1970-01-01T00:00:00Z",
                "2000-02-28T23:59:59Z",
                "2000-02-29T00:00:00Z",
                "2000-03-01T00:00:00Z",
                "2026-11-24T05:09:00Z"
            ]
        );
    }

    #[test]
    fn cpu_is_named_as_the_kernel_does() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n";
        assert_eq!(cpu_model(cpuinfo), "AMD EPYC");
        assert_eq!(cpu_model(""), "unknown CPU");
    }
}
