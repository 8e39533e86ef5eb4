//! Which libtorch was loaded, and whether it is the one this program was built for.

use crate::sys;

/// tch 0.24 goes with exactly this libtorch; what follows a `+` in a version names the build and doesn't matter.
pub const EXPECTED_VERSION: &str = "2.11.0";

/// The loaded libtorch is another one.
#[derive(Debug, thiserror::Error)]
#[error(
    "the loaded libtorch is version {found}, this convoy-worker was built for {EXPECTED_VERSION}: run `cargo xtask quickstart`, \
     or name the folder of a libtorch {EXPECTED_VERSION} in LD_LIBRARY_PATH"
)]
pub struct LibraryError {
    found: String,
}

/// The version of the libtorch that this process has loaded, without the name of the build.
#[must_use]
pub fn library_version() -> String {
    version_in(&sys::build_settings())
}

/// Checks that the loaded libtorch is the one that the program was built for.
///
/// # Errors
/// If it states another version.
pub fn check_library() -> Result<(), LibraryError> {
    let found = library_version();
    if found == EXPECTED_VERSION {
        Ok(())
    } else {
        Err(LibraryError { found })
    }
}

fn version_in(settings: &str) -> String {
    settings
        .split("TORCH_VERSION=")
        .nth(1)
        .and_then(|rest| rest.split([',', '+', ' ', '\n']).next())
        .unwrap_or("unknown")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaded_library_is_the_pinned_one() {
        assert_eq!(library_version(), EXPECTED_VERSION);
        check_library().unwrap();
    }

    #[test]
    fn settings_without_a_version_are_no_match() {
        assert_eq!(version_in("PyTorch built with: GCC"), "unknown");
        assert_eq!(
            version_in("Build settings: A=1, TORCH_VERSION=2.13.0+cpu, USE_X=0"),
            "2.13.0"
        );
    }
}
