//! The figures as nccl-tests prints them, with both contenders side by side.

use std::fmt::Write;

use super::super::report::ratio_text;
use super::{Measured, Row};

/// One line for each size.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    // Writing to a String never fails.
    let _ = writeln!(text, "{}", heads(rows.first()));
    let _ = writeln!(text, "{}", names(rows.first()));
    for row in rows {
        let _ = write!(
            text,
            "{:>11} {:>11} {:>6} {:>6}",
            row.bytes, row.count, row.dtype, row.redop
        );
        for measured in &row.contenders {
            let _ = write!(text, " {}", figures(measured));
        }
        let ratio = row.ratio.map(|ratio| format!("  {}", ratio_text(ratio)));
        let _ = writeln!(text, "{}", ratio.unwrap_or_default());
    }
    text
}

fn heads(row: Option<&Row>) -> String {
    let contenders = row.map(|row| row.contenders.as_slice()).unwrap_or_default();
    let names: Vec<_> = contenders
        .iter()
        .map(|measured| format!("{:^38}", measured.name))
        .collect();
    let ratio = if contenders.len() > 1 {
        "  gloo time / convoy time"
    } else {
        ""
    };
    format!("{:37} {}{ratio}", "", names.join(" "))
        .trim_end()
        .to_owned()
}

fn names(row: Option<&Row>) -> String {
    let contenders = row.map_or(0, |row| row.contenders.len());
    let figures = format!(
        " {:>11} {:>8} {:>8} {:>8}",
        "time (us)", "algbw", "busbw", "#wrong"
    );
    let ratio = if contenders > 1 {
        "  median [min - max]"
    } else {
        ""
    };
    format!(
        "{:>11} {:>11} {:>6} {:>6}{}{ratio}",
        "size (B)",
        "count",
        "type",
        "redop",
        figures.repeat(contenders)
    )
}

fn figures(measured: &Measured) -> String {
    format!(
        "{:>11.1} {:>8.3} {:>8.3} {:>8}",
        measured.time_us, measured.algbw_gb_s, measured.busbw_gb_s, measured.wrong
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::statistics::Spread;

    fn measured(name: &'static str, seconds: f64) -> Measured {
        Measured::new(name, vec![seconds], 0, 2, 1 << 20)
    }

    fn row(contenders: Vec<Measured>, ratio: Option<Spread>) -> Row {
        Row {
            processes: 2,
            bytes: 1 << 20,
            count: 1 << 18,
            dtype: "float",
            redop: "sum",
            iterations: 3,
            contenders,
            ratio,
        }
    }

    #[test]
    fn contenders_stand_side_by_side() {
        let ratio = Spread {
            median: 2.0,
            min: 1.5,
            max: 2.25,
        };
        let both = vec![measured("convoy", 0.001), measured("gloo", 0.002)];
        let expected = [
            "                                                      convoy                                  gloo                   gloo time / convoy time\n",
            "   size (B)       count   type  redop   time (us)    algbw    busbw   #wrong   time (us)    algbw    busbw   #wrong  median [min - max]\n",
            "    1048576      262144  float    sum      1000.0    1.049    1.049        0      2000.0    0.524    0.524        0  2.00 [1.50 - 2.25]\n",
        ]
        .concat();
        assert_eq!(table(&[row(both, Some(ratio))]), expected);
    }

    #[test]
    fn convoy_alone_has_no_ratio() {
        let text = table(&[row(vec![measured("convoy", 0.001)], None)]);
        assert!(!text.contains("gloo"), "{text}");
        assert!(
            text.trim_end()
                .ends_with("1000.0    1.049    1.049        0"),
            "{text}"
        );
    }
}
