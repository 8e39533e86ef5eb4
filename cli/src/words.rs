//! Numbers as people read them.

use std::path::Path;
use std::time::Duration;

use convoy_proto::v1::JobState;

/// `60000` as `60,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Two numbers are enough to plan by: `9.4 s`, `1 min 05 s`, `3 h 20 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A share of 0 to 1 as `91.34 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// The same as `91.3 %`, for a figure of one batch.
pub(crate) fn percent_roughly(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Images per second, without decimals that no one believes.
pub(crate) fn rate(images_per_second: f64) -> String {
    // Casts saturate, and a rate that is not a number becomes 0.
    format!("{} images/s", grouped(images_per_second.round() as u64))
}

/// A path as one would type it in `folder`: without the folder's own path where it lies below.
pub(crate) fn path_from(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// `1 worker`, `2 workers`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// The first line of what came from elsewhere, without characters that would control a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    printable(line)
}

/// The same text without characters that would control a terminal.
pub(crate) fn printable(text: &str) -> String {
    let shown = |symbol: char| match symbol.is_control() {
        true => char::REPLACEMENT_CHARACTER,
        false => symbol,
    };
    text.chars().map(shown).collect()
}

/// Where a job stands, in one word.
pub(crate) fn state(state: JobState) -> &'static str {
    match state {
        JobState::Unspecified => "unknown",
        JobState::Waiting => "waiting",
        JobState::Forming => "forming",
        JobState::Training => "training",
        JobState::Finished => "finished",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        let texts = [0, 999, 1_000, 60_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "60,000", "1,234,567"]);
    }

    #[test]
    fn durations_have_two_numbers_at_most() {
        let texts = [0.04, 9.44, 59.9, 65.0, 12_000.0]
            .map(|seconds| duration(Duration::from_secs_f64(seconds)));
        assert_eq!(
            texts,
            ["0.0 s", "9.4 s", "59 s", "1 min 05 s", "3 h 20 min"]
        );
    }

    #[test]
    fn paths_below_the_folder_are_short() {
        let text = |path: &str| path_from(Path::new("/jobs/ada"), Path::new(path));
        assert_eq!(text("/jobs/ada/.convoy/log"), ".convoy/log");
        assert_eq!(text("/jobs/adam/log"), "/jobs/adam/log");
    }

    #[test]
    fn nouns_agree_with_their_numbers() {
        assert_eq!(count(1, "worker"), "1 worker");
        assert_eq!(count(12_000, "step"), "12,000 steps");
    }
}
