//! Whose line it is.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What stands in brackets at the start of every line: "job fashion-mnist-1 worker 0 rank 1". Clones share it, so a
/// process can add its rank once it has one.
#[derive(Clone, Debug, Default)]
pub struct Label {
    text: Arc<RwLock<String>>,
}

impl Label {
    /// Changes it for all lines from now on; empty means none.
    pub fn set(&self, text: impl Into<String>) {
        *self.text.write().unwrap_or_else(PoisonError::into_inner) = text.into();
    }
}

/// The usual line with the label before it.
pub(crate) struct Labelled {
    label: Label,
    line: Format,
}

impl Labelled {
    pub(crate) fn new(label: Label) -> Self {
        Self {
            label,
            line: Format::default().with_target(false),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Labelled
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let label = self
            .label
            .text
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if !label.is_empty() {
            write!(writer, "[{label}] ")?;
        }
        drop(label);
        self.line.format_event(context, writer, event)
    }
}
