//! Child processes that never outlive their parent, and what their exit means in words.
//!
//! The parent's side is [`Spawner`] and [`Child`], the child's side is [`die_with_parent`], called first thing in `main`.
//!
//! **Invariant:** whatever ends the parent, `SIGKILL` included, the kernel then signals every child started here that
//! called [`die_with_parent`]; there is no moment between fork and that call in which a child can be forgotten.
//!
//! **Invariant:** every child is waited for, so none stays behind as a zombie while its parent lives, and a signal is
//! never sent to a process id that may already belong to someone else.

mod child;
mod exit;
mod forced_end;
mod open_files;
mod parent_death;
mod sibling;
mod spawner;

#[cfg(test)]
mod tests;

pub use child::{Child, SignalError};
pub use exit::ExitDescription;
pub use forced_end::{ForcedEndError, force_end_after};
pub use open_files::raise_open_files;
pub use parent_death::{Orphaned, die_with_parent};
pub use rustix::process::Signal;
pub use sibling::{MissingSibling, sibling_binary};
pub use spawner::{PARENT_PID_FLAG, SpawnError, Spawner};
