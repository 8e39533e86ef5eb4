//! The figures of a case.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use convoy_common::spec::Reproducibility;

use super::super::group::Parts;
use super::super::report::ratio_text;
use super::super::statistics::Spread;
use super::contender::Side;
use super::{Case, Outcome, fastest};
use crate::words::{count, grouped};

/// Title, lines and ratios.
pub(super) fn table(case: &Case) -> String {
    let workers = count(u64::from(case.workers), "worker");
    let what = if case.end_to_end {
        "from file to update, with crop and flip"
    } else {
        "steps on batches in memory"
    };
    let title = format!(
        "{}, batch {}, {workers} with one thread each: {what}",
        case.workload.name(),
        case.workload.batch()
    );
    let mut table = headed(if case.end_to_end {
        END_TO_END_HEADS
    } else {
        STEP_HEADS
    });
    for outcome in &case.outcomes {
        table.add_row(row(case, outcome));
    }
    match parts(case) {
        None => format!("{title}\n{table}"),
        Some(parts) => {
            format!(
                "{title}\n{table}\nwhere the time of a step goes: ms, median of all rounds and workers\n{parts}"
            )
        }
    }
}

fn headed<const N: usize>(heads: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(heads);
    table
}

/// One line for each contender that tells where its time goes.
fn parts(case: &Case) -> Option<Table> {
    let mut told = case
        .outcomes
        .iter()
        .filter(|outcome| !outcome.parts.is_empty())
        .peekable();
    told.peek()?;
    let mut table = headed(PART_HEADS);
    for outcome in told {
        let median = |part: fn(&Parts) -> f64| {
            let values: Vec<f64> = outcome
                .parts
                .iter()
                .map(|parts| part(parts) * 1e3)
                .collect();
            Spread::of(&values).map_or_else(String::new, |spread| format!("{:.2}", spread.median))
        };
        table.add_row([
            outcome.contender.label(),
            outcome.contender.micro_batches().to_string(),
            median(|parts| parts.data),
            median(|parts| parts.forward),
            median(|parts| parts.backward),
            median(|parts| parts.reduction),
            median(|parts| parts.update),
        ]);
    }
    Some(table)
}

const PART_HEADS: [&str; 7] = [
    "contender",
    "micro-batches\nper worker",
    "waiting\nfor data",
    "forward",
    "backward, with\nreduction behind it",
    "waiting for\nreduction",
    "update",
];

const STEP_HEADS: [&str; 8] = [
    "contender",
    "micro-batches\nper worker",
    "step ms\nmedian",
    "min",
    "max",
    "time over fastest PyTorch\nat equal micro-batches",
    "time over fastest\nPyTorch of all",
    "time over\nfast",
];

const END_TO_END_HEADS: [&str; 8] = [
    "contender",
    "micro-batches\nper worker",
    "images/s\nmedian",
    "min",
    "max",
    "images/s over fastest PyTorch\nat equal micro-batches",
    "images/s over fastest\nPyTorch of all",
    "images/s over\nfast",
];

fn row(case: &Case, outcome: &Outcome) -> [String; 8] {
    let figures = if case.end_to_end {
        let batch = f64::from(case.workload.batch());
        let rates: Vec<f64> = outcome
            .round_seconds
            .iter()
            .map(|step| batch / step)
            .collect();
        shown(&rates, |rate| grouped(rate.round() as u64))
    } else {
        let steps: Vec<f64> = outcome
            .step_seconds
            .iter()
            .flatten()
            .map(|step| step * 1e3)
            .collect();
        shown(&steps, |step| format!("{step:.2}"))
    };
    let micro_batches = outcome.contender.micro_batches();
    let equal = ratio(case, outcome, Some(micro_batches));
    let overall = ratio(case, outcome, None);
    let text = |ratio: Option<Spread>| ratio.map(ratio_text).unwrap_or_default();
    let [median, min, max] = figures;
    [
        outcome.contender.label(),
        micro_batches.to_string(),
        median,
        min,
        max,
        text(equal),
        text(overall),
        text(over_fast(case, outcome)),
    ]
}

fn shown(values: &[f64], text: impl Fn(f64) -> String) -> [String; 3] {
    Spread::of(values).map_or_else(Default::default, |spread| {
        [spread.median, spread.min, spread.max].map(text)
    })
}

/// Ours against the fastest of PyTorch's, of those with so many micro-batches or of all: times, or end to end their inverse.
pub(super) fn ratio(case: &Case, ours: &Outcome, micro_batches: Option<u32>) -> Option<Spread> {
    if ours.contender.side() == Side::Pytorch {
        return None;
    }
    let theirs = fastest(&case.outcomes, |contender| {
        contender.side() == Side::Pytorch
            && micro_batches.is_none_or(|wanted| contender.micro_batches() == wanted)
    })?;
    ratio_of(case, ours, theirs)
}

/// The same bits for any members, against the same steps without that promise.
pub(super) fn over_fast(case: &Case, ours: &Outcome) -> Option<Spread> {
    if ours.contender.side() != Side::Convoy(Reproducibility::Bitwise) {
        return None;
    }
    let fast = case.outcomes.iter().find(|other| {
        other.contender.side() == Side::Convoy(Reproducibility::Fast)
            && other.contender.micro_batches() == ours.contender.micro_batches()
    })?;
    ratio_of(case, ours, fast)
}

fn ratio_of(case: &Case, ours: &Outcome, theirs: &Outcome) -> Option<Spread> {
    let (ours, theirs) = (&ours.round_seconds, &theirs.round_seconds);
    if case.end_to_end {
        Spread::of_ratios(theirs, ours)
    } else {
        Spread::of_ratios(ours, theirs)
    }
}
