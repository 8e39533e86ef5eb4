//! Lines in and out.

use std::io::{BufRead, Read, Write, stdin, stdout};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// Addresses of a few members are the longest thing that is ever told.
const MAX_LINE_BYTES: u64 = 16 << 10;

/// What the conductor tells every member before the first turn.
#[derive(Debug, Deserialize)]
pub(super) struct Peers {
    /// Where each rank listens.
    pub(super) peers: Vec<String>,
}

/// The next line, `None` at the end of the input. Blocks, so that a member that waits costs nothing.
pub(super) fn next<T: for<'a> Deserialize<'a>>() -> anyhow::Result<Option<T>> {
    let mut line = String::new();
    let read = stdin()
        .lock()
        .take(MAX_LINE_BYTES)
        .read_line(&mut line)
        .context("cannot read the next turn")?;
    if read == 0 {
        return Ok(None);
    }
    if !line.ends_with('\n') {
        bail!("a line of more than {MAX_LINE_BYTES} bytes, or one cut short");
    }
    let turn = serde_json::from_str(&line)
        .with_context(|| format!("not understood: {}", line.trim_end()))?;
    Ok(Some(turn))
}

/// One line.
pub(super) fn tell(answer: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut out = stdout().lock();
    out.write_all(&line)
        .and_then(|()| out.flush())
        .context("the conductor listens no more")
}
