use std::io;
use std::sync::{Arc, Mutex};

use crate::{Label, LogTarget, TelemetryError, init, lines, parse_filter};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(filter: &str, log: impl FnOnce(&Label)) -> String {
    let kept = Kept::default();
    let label = Label::default();
    let writer = kept.clone();
    let subscriber = lines(parse_filter(filter).unwrap(), &label, false, move || {
        writer.clone()
    });
    tracing::subscriber::with_default(subscriber, || log(&label));
    String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn line_carries_label_level_span_and_fields() {
    let text = logged("info", |label| {
        tracing::info!("before the rank is known");
        label.set("worker 0 rank 1");
        tracing::info_span!("generation", number = 3)
            .in_scope(|| tracing::warn!(step = 7, "slow step"));
    });
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].ends_with(" INFO before the rank is known"),
        "{text}"
    );
    assert!(lines[1].starts_with("[worker 0 rank 1] "), "{text}");
    assert!(
        lines[1].ends_with(" WARN generation{number=3}: slow step step=7"),
        "{text}"
    );
}

#[test]
fn filter_decides_what_is_written() {
    let text = logged("warn", |_| {
        tracing::info!("hidden");
        tracing::error!("shown");
    });
    assert!(text.contains("shown") && !text.contains("hidden"), "{text}");
}

#[test]
fn bad_filter_is_refused_with_an_example() {
    let error = parse_filter("info,convoy=loud").unwrap_err();
    assert!(matches!(error, TelemetryError::Filter { .. }));
    assert!(
        error
            .to_string()
            .starts_with("CONVOY_LOG=\"info,convoy=loud\" is no log filter"),
        "{error}"
    );
}

#[test]
fn log_file_in_a_missing_folder_is_named() {
    let error = init(&LogTarget::File("/nowhere/convoy.log".into()), "info").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot open the log file /nowhere/convoy.log: "),
        "{error}"
    );
}
