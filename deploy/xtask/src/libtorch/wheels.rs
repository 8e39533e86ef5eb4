//! The slim set: the few files of three Python wheels that a CPU needs, 499 MB instead of several GB.
//!
//! pip fetches the wheels, from wherever the user's configuration says, and refuses any byte that differs from the
//! hashes pinned here.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::staging::{self, Staging};
use crate::{commands, fetch, installed, progress};

/// All three wheels.
const DOWNLOAD_BYTES: u64 = 543_563_777;
/// pip holds the largest wheel twice for a moment, and the unpacked files come on top.
const ROOM_BYTES: u64 = 1_700_000_000;

struct Wheel {
    package: &'static str,
    version: &'static str,
    /// One SHA-256 per file that pip may choose for x86-64 Linux.
    sha256: &'static [&'static str],
    /// What to keep of it.
    members: &'static [&'static str],
}

const WHEELS: [Wheel; 3] = [
    Wheel {
        package: "torch",
        version: super::VERSION,
        // CPython 3.10, 3.11, 3.12, 3.13, 3.13 free-threaded, 3.14, 3.14 free-threaded.
        sha256: &[
            "1b32ceda909818a03b112006709b02be1877240c31750a8d9c6b7bf5f2d8a6e5",
            "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
            "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
            "cc89b9b173d9adfab59fd227f0ab5e5516d9a52b658ae41d64e59d2e55a418db",
            "98bb213c3084cfe176302949bdc360074b18a9da7ab59ef2edc9d9f742504778",
            "4dc8b3809469b6c30b411bb8c4cad3828efd26236153d9beb6a3ec500f211a60",
            "563ed3d25542d7e7bbc5b235ccfacfeb97fb470c7fee257eae599adb8005c8a2",
        ],
        members: &[
            "torch/include/",
            "torch/version.py",
            "torch/lib/libtorch.so",
            "torch/lib/libtorch_cpu.so",
            "torch/lib/libc10.so",
            "torch/lib/libgomp.so.1",
        ],
    },
    // libtorch_cpu links these two, also where no GPU is.
    Wheel {
        package: "nvidia-cuda-runtime",
        version: "13.0.96",
        sha256: &["7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"],
        members: &["nvidia/cu13/lib/libcudart.so.13"],
    },
    Wheel {
        package: "nvidia-cuda-cupti",
        version: "13.0.85",
        sha256: &["4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"],
        members: &["nvidia/cu13/lib/libcupti.so.13"],
    },
];

/// Names what the slim set is made from; another pin makes another identity.
pub(super) fn identity() -> String {
    let versions = WHEELS.map(|wheel| format!("{} {}", wheel.package, wheel.version));
    let members: Vec<&str> = WHEELS
        .iter()
        .flat_map(|wheel| wheel.members)
        .copied()
        .collect();
    format!("{}: {}", versions.join(", "), members.join(" "))
}

/// Downloads, checks, unpacks and records the slim set at `place`.
pub(super) fn fetch(place: &Path) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "libtorch is pinned for x86-64 Linux only; elsewhere name a torch {} by --libtorch",
            super::VERSION
        );
    }
    let staging = Staging::begin(place)?;
    staging::require_room(staging.folder(), ROOM_BYTES, "fetching libtorch")?;
    let wheels = staging.subfolder("wheels")?;
    download(&staging, &wheels)?;
    let unpacked = staging.subfolder("unpacked")?;
    for wheel in &WHEELS {
        fetch::unzip(&find(&wheels, wheel)?, &unpacked, wheel.members)?;
    }
    installed::record(&unpacked, &identity())?;
    staging.commit(&unpacked)
}

fn download(staging: &Staging, wheels: &Path) -> Result<()> {
    let requirements = staging.folder().join("requirements.txt");
    fs::write(&requirements, requirements_text())
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    // pip writes to TMPDIR first: there it neither fills another disk nor hides its progress.
    let arriving = staging.subfolder("arriving")?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-cache-dir",
    ])
    .args([
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--requirement",
    ])
    .arg(&requirements)
    .arg("--dest")
    .arg(wheels)
    .env("TMPDIR", &arriving);
    progress::while_downloading(staging.folder(), DOWNLOAD_BYTES, || {
        commands::capture(&mut pip, "downloading libtorch by pip")
    })
    .map(drop)
    .context(
        "libtorch could not be fetched; nothing was left behind, and `cargo xtask setup` tries again. \
         It needs the package index that pip is set up for, and CPython 3.10 to 3.14; \
         where a torch 2.11.0 is installed, name it by --libtorch",
    )
}

fn requirements_text() -> String {
    let mut text = String::new();
    for wheel in &WHEELS {
        let _ = write!(text, "{}=={}", wheel.package, wheel.version);
        for hash in wheel.sha256 {
            let _ = write!(text, " --hash=sha256:{hash}");
        }
        text.push('\n');
    }
    text
}

/// The one downloaded file of that package.
fn find(wheels: &Path, wheel: &Wheel) -> Result<PathBuf> {
    let begin = format!("{}-{}-", wheel.package.replace('-', "_"), wheel.version);
    let entries =
        fs::read_dir(wheels).with_context(|| format!("cannot read {}", wheels.display()))?;
    entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&begin))
        .map(|entry| entry.path())
        .with_context(|| format!("pip left no {begin}*.whl in {}", wheels.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_pin_every_wheel_by_version_and_hash() {
        let text = requirements_text();
        assert_eq!(text.lines().count(), WHEELS.len());
        for line in text.lines() {
            assert!(
                line.contains("==") && line.contains(" --hash=sha256:"),
                "{line}"
            );
        }
        let hashes = WHEELS.iter().flat_map(|wheel| wheel.sha256);
        assert!(hashes.clone().all(|hash| hash.len() == 64));
        assert_eq!(hashes.count(), 9);
    }

    #[test]
    fn identity_names_versions_and_kept_files() {
        let identity = identity();
        assert!(
            identity.contains("torch 2.11.0, nvidia-cuda-runtime 13.0.96"),
            "{identity}"
        );
        assert!(identity.contains("torch/lib/libtorch_cpu.so"), "{identity}");
    }

    #[test]
    fn downloaded_wheel_is_found_by_package_and_version() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(folder.path(), &WHEELS[1]).is_err());
        let name = "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.whl";
        fs::write(folder.path().join(name), "").unwrap();
        assert_eq!(
            find(folder.path(), &WHEELS[1])
                .unwrap()
                .file_name()
                .unwrap(),
            name
        );
    }
}
