//! Ctrl-C and its kin.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Someone wants the run to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// Ctrl-C.
    Keyboard,
    /// `kill`, or a machine that shuts down.
    Terminate,
    /// The terminal is gone.
    HangUp,
}

impl Interrupt {
    /// Why the job is cancelled.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Keyboard => "interrupted from the keyboard (Ctrl-C)",
            Self::Terminate => "asked to terminate (SIGTERM)",
            Self::HangUp => "the terminal was closed (SIGHUP)",
        }
    }

    /// 128 and the number of the signal, as shells have it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Keyboard => 130,
            Self::Terminate => 143,
            Self::HangUp => 129,
        }
    }
}

/// Waits for signals; from its creation on they no longer end the process.
pub(crate) struct Interrupts {
    keyboard: Signal,
    terminate: Signal,
    /// `None` where whoever started this process wants it to outlive its terminal, as `nohup` does.
    hang_up: Option<Signal>,
}

impl Interrupts {
    /// Takes over the signals.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        // Without /proc this can't be known, and then the signal is obeyed.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hang_up = SignalKind::hangup();
        Ok(Self {
            keyboard: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: if is_ignored(&status, hang_up) {
                None
            } else {
                Some(listen(hang_up)?)
            },
        })
    }

    /// The next one. Cancelling the wait loses nothing.
    pub(crate) async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.keyboard.recv() => Interrupt::Keyboard,
            _ = self.terminate.recv() => Interrupt::Terminate,
            () = received(self.hang_up.as_mut()) => Interrupt::HangUp,
        }
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether a process with this status ignores a signal (proc(5): `SigIgn` is a mask in hexadecimal, signal 1 the lowest bit).
fn is_ignored(status: &str, signal: SignalKind) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let nohup =
            "Name:\tconvoy\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(is_ignored(nohup, SignalKind::hangup()));
        assert!(is_ignored(nohup, SignalKind::pipe()));
        assert!(!is_ignored(nohup, SignalKind::interrupt()));
        assert!(!is_ignored("", SignalKind::hangup()));
    }
}
