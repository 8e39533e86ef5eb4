//! How many files and connections this process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to what the system allows this user, and returns it. The soft limit is small for the sake
/// of old programs that wait with `select`; none of ours does, and children that are started later get the same.
///
/// # Errors
/// If the kernel refuses, which it does not for a limit that is allowed.
pub fn raise_open_files() -> std::io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
