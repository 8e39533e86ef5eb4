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
    hang_up: Signal,
}

impl Interrupts {
    /// Takes over the signals.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            keyboard: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// The next one. Cancelling the wait loses nothing.
    pub(crate) async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.keyboard.recv() => Interrupt::Keyboard,
            _ = self.terminate.recv() => Interrupt::Terminate,
            _ = self.hang_up.recv() => Interrupt::HangUp,
        }
    }
}
