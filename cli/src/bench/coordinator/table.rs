//! The figures.

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use super::super::statistics::{Interval, Spread};
use super::agents::Figures;
use super::load::Work;
use super::{Case, Gaps, Measured, Row, VALUE_BYTES};
use crate::words::{count, grouped};

/// One figure of every round.
type Values = fn(&Measured) -> &[f64];

/// `64 writers`.
pub(super) fn name(case: Case) -> String {
    case_name(case.work == Work::Write, case.clients)
}

fn case_name(writes: bool, clients: usize) -> String {
    count(clients as u64, if writes { "writer" } else { "reader" })
}

/// Writes and reads: medians of the rounds, and by what factor ours are better.
pub(super) fn rows(rows: &[Row]) -> String {
    let mut table = headed(&["", "", "Convoy", "etcd", "better by [95 %]"]);
    for row in rows {
        let who = case_name(row.what == "write", row.clients);
        // One client's answers in a second say the same as its median.
        if row.clients > 1 {
            let ratio = row
                .etcd
                .as_ref()
                .and_then(|etcd| Interval::of_ratios(&row.convoy.rate, &etcd.rate));
            add(
                &mut table,
                row,
                &who,
                "answers/s",
                |measured| &measured.rate,
                ratio,
            );
        }
        let times: [(&str, Values); 2] = [
            ("p50, us", |measured| &measured.p50_us),
            ("p99, us", |measured| &measured.p99_us),
        ];
        for (unit, values) in times {
            let ratio = row
                .etcd
                .as_ref()
                .and_then(|etcd| Interval::of_ratios(values(etcd), values(&row.convoy)));
            add(&mut table, row, &who, unit, values, ratio);
        }
    }
    format!(
        "\nwrites of {VALUE_BYTES} bytes and linearizable reads, medians of all rounds\n{table}"
    )
}

fn add(
    table: &mut Table,
    row: &Row,
    who: &str,
    unit: &str,
    values: Values,
    ratio: Option<Interval>,
) {
    let middle = |measured: &Measured| {
        let spread = Spread::of(values(measured));
        spread.map_or_else(String::new, |spread| grouped(spread.median.round() as u64))
    };
    let etcd = row.etcd.as_ref().map_or_else(String::new, middle);
    let ratio = ratio.map_or_else(String::new, |ratio| {
        format!("{:.2} [{:.2} - {:.2}]", ratio.median, ratio.low, ratio.high)
    });
    table.add_row([who, unit, &middle(&row.convoy), &etcd, &ratio]);
}

/// How long nothing was acknowledged.
pub(super) fn gaps(gaps: &Gaps) -> String {
    let mut table = headed(&["", "median, s", "worst, s"]);
    for (who, gaps) in [("Convoy", &gaps.convoy), ("etcd", &gaps.etcd)] {
        if let Some(spread) = Spread::of(gaps) {
            let (median, worst) = (
                format!("{:.3}", spread.median),
                format!("{:.3}", spread.max),
            );
            table.add_row([who, &median, &worst]);
        }
    }
    let kills = count(gaps.convoy.len() as u64, "kill");
    format!("\nthe longest time without an acknowledged write, {kills} of the leader\n{table}")
}

/// What a leader's end comes to with thousands of agents.
pub(super) fn storm(figures: &super::storm::Figures) -> String {
    let mut table = headed(&[
        "kill",
        "no write acknowledged, s",
        "all agents back, s",
        "terms",
    ]);
    let seconds = figures.gap_seconds.iter().zip(&figures.back_seconds);
    for (kill, ((gap, back), terms)) in seconds.zip(&figures.terms).enumerate() {
        let cells = [
            format!("{}", kill + 1),
            format!("{gap:.3}"),
            format!("{back:.1}"),
            terms.to_string(),
        ];
        table.add_row(cells);
    }
    let agents = grouped(figures.agents as u64);
    format!("\nthe leader of {agents} agents is killed, and all look for the next at once\n{table}")
}

/// What thousands of agents cost.
pub(super) fn agents(figures: &Figures) -> String {
    let mut table = headed(&["", ""]);
    let spread = Spread::of(&figures.directive_seconds);
    let ms = |seconds: f64| format!("{:.0} ms", seconds * 1e3);
    table.add_row(["cores", &format!("{:.3}", figures.cores)]);
    let mib = figures.resident_bytes >> 20;
    table.add_row(["memory", &format!("{mib} MiB")]);
    table.add_row(["all attached", &format!("{:.1} s", figures.attach_seconds)]);
    table.add_row([
        "a directive has reached half",
        &spread.map_or_else(String::new, |spread| ms(spread.median)),
    ]);
    table.add_row(["99 %", &ms(figures.directive_p99_seconds())]);
    table.add_row([
        "all",
        &spread.map_or_else(String::new, |spread| ms(spread.max)),
    ]);
    let agents = grouped(figures.directive_seconds.len() as u64);
    format!("\nthe leader with {agents} agents, each with a heartbeat every second\n{table}")
}

fn headed(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(heads.iter().copied());
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(rate: f64) -> Measured {
        Measured {
            rate: vec![rate],
            p50_us: vec![1e6 / rate],
            p99_us: vec![2e6 / rate],
        }
    }

    fn row(clients: usize, etcd: Option<Measured>) -> Row {
        Row {
            what: "write",
            clients,
            connections: 1,
            convoy: measured(4_000.0),
            etcd,
        }
    }

    #[test]
    fn factors_above_one_are_in_our_favour_for_rates_and_for_times() {
        let text = rows(&[row(64, Some(measured(1_000.0)))]);
        assert_eq!(text.matches("4.00 [4.00 - 4.00]").count(), 3, "{text}");
        assert!(text.contains("64 writers"), "{text}");
        assert!(text.contains("4,000"), "{text}");
    }

    #[test]
    fn convoy_alone_has_no_factor() {
        let text = rows(&[row(1, None)]);
        assert!(!text.contains(" - "), "{text}");
        assert!(text.contains("250"), "{text}");
        let gaps = Gaps {
            convoy: vec![0.25, 0.5, 0.3],
            etcd: Vec::new(),
        };
        let text = super::gaps(&gaps);
        assert!(text.contains("0.300") && text.contains("0.500"), "{text}");
        assert!(!text.contains("etcd"), "{text}");
    }
}
