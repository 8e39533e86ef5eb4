//! Fashion-MNIST, from Debian's package where there is one and from its authors elsewhere.
//!
//! The two pack the same bytes differently, so what is checked is what comes out of them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::staging::{self, Staging};
use crate::steps::Ending;
use crate::workspace::Workspace;
use crate::{commands, fetch, installed, progress};

const PACKAGE: &str = "dataset-fashion-mnist";
/// The repository of the authors; what it serves is pinned by the hashes below.
const UPSTREAM: &str =
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion";
const DOWNLOAD_BYTES: u64 = 30_900_000;
/// The package, its unpacked files and the kept ones.
const ROOM_BYTES: u64 = 120_000_000;
const IDENTITY: &str = "Fashion-MNIST, as published";

struct Part {
    name: &'static str,
    /// Of the decompressed stream, IDX header included.
    bytes: u64,
    /// Of the decompressed stream.
    sha256: &'static str,
}

const PARTS: [Part; 4] = [
    Part {
        name: "train-images-idx3-ubyte.gz",
        bytes: 47_040_016,
        sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    },
    Part {
        name: "train-labels-idx1-ubyte.gz",
        bytes: 60_008,
        sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    Part {
        name: "t10k-images-idx3-ubyte.gz",
        bytes: 7_840_016,
        sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    },
    Part {
        name: "t10k-labels-idx1-ubyte.gz",
        bytes: 10_008,
        sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
];

/// Whether Python is needed to get it.
pub(crate) fn is_missing(workspace: &Workspace) -> bool {
    installed::difference(&workspace.dataset(), IDENTITY).is_some()
}

/// Makes sure that the four files are there.
pub(crate) fn establish(workspace: &Workspace) -> Result<Ending> {
    let place = workspace.dataset();
    let _lock = staging::lock(&workspace.root.join(".data"))?;
    if installed::difference(&place, IDENTITY).is_none() {
        return Ok(Ending::AlreadyRight(workspace.shown(&place)));
    }
    fetch_from_any(
        &place,
        &[
            ("Debian's package", &from_debian),
            ("its authors", &from_upstream),
        ],
    )?;
    Ok(Ending::Done)
}

/// A way to get the files: puts the four `.gz` into a subfolder of the staging and returns that.
type Source<'a> = (&'a str, &'a dyn Fn(&Staging) -> Result<PathBuf>);

fn fetch_from_any(place: &Path, sources: &[Source<'_>]) -> Result<()> {
    let mut reasons = String::new();
    for (name, source) in sources {
        let staging = Staging::begin(place)?;
        staging::require_room(staging.folder(), ROOM_BYTES, "fetching Fashion-MNIST")?;
        let fetched = source(&staging).and_then(|finished| {
            check(&finished)?;
            installed::record(&finished, IDENTITY)?;
            staging.commit(&finished)
        });
        match fetched {
            Ok(()) => return Ok(()),
            Err(error) => reasons.push_str(&format!("\n  from {name}: {error:#}")),
        }
    }
    bail!(
        "Fashion-MNIST could not be fetched; nothing was left behind, and `cargo xtask setup` tries again{reasons}"
    )
}

fn from_debian(staging: &Staging) -> Result<PathBuf> {
    let arriving = staging.subfolder("arriving")?;
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.args(["download", "--quiet", PACKAGE])
            .current_dir(&arriving);
        commands::capture(&mut apt, &format!("apt-get download {PACKAGE}"))
    };
    let result = progress::while_downloading(&arriving, DOWNLOAD_BYTES, || {
        // Lists that were never fetched, or are out of date, are the usual reason; only root may renew them.
        download().or_else(|error| {
            if commands::is_missing_program(&error) || !rustix::process::geteuid().is_root() {
                return Err(error);
            }
            commands::capture(
                Command::new("apt-get").args(["update", "--quiet"]),
                "apt-get update",
            )?;
            download()
        })
    });
    result.map_err(|error| {
        if commands::is_missing_program(&error) {
            error.context("there is no apt-get here")
        } else {
            error
        }
    })?;
    let package = fs::read_dir(&arriving)?.flatten().next();
    let package =
        package.with_context(|| format!("apt-get left no {PACKAGE} in {}", arriving.display()))?;
    let unpacked = staging.subfolder("unpacked")?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(package.path()).arg(&unpacked);
    commands::capture(&mut unpack, "unpacking the package")?;
    let finished = staging.subfolder("finished")?;
    for part in &PARTS {
        let from = unpacked
            .join("usr/share/datasets/fashion-mnist")
            .join(part.name);
        fs::rename(&from, finished.join(part.name))
            .with_context(|| format!("the package has no {}", from.display()))?;
    }
    Ok(finished)
}

fn from_upstream(staging: &Staging) -> Result<PathBuf> {
    let finished = staging.subfolder("finished")?;
    progress::while_downloading(&finished, DOWNLOAD_BYTES, || {
        PARTS.iter().try_for_each(|part| {
            fetch::https(
                &format!("{UPSTREAM}/{}", part.name),
                &finished.join(part.name),
            )
        })
    })?;
    Ok(finished)
}

fn check(folder: &Path) -> Result<()> {
    PARTS.iter().try_for_each(|part| check_part(folder, part))
}

fn check_part(folder: &Path, part: &Part) -> Result<()> {
    let path = folder.join(part.name);
    let shown = path.display();
    let file = File::open(&path).with_context(|| format!("cannot open {shown}"))?;
    // One byte more than expected is enough to see that a stream is too long.
    let mut stream = MultiGzDecoder::new(file).take(part.bytes + 1);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = stream
            .read(&mut buffer)
            .with_context(|| format!("cannot decompress {shown}"))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    let found: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if bytes != part.bytes || found != part.sha256 {
        bail!(
            "{} decompresses to {bytes} bytes with SHA-256 {found}, but {} bytes with {} are expected",
            part.name,
            part.bytes,
            part.sha256
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const SMALL: Part = Part {
        name: "small.gz",
        bytes: 5,
        // Of "hello".
        sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    };

    fn packed(folder: &Path, name: &str, text: &str) {
        let mut encoder = GzEncoder::new(
            File::create(folder.join(name)).unwrap(),
            Compression::fast(),
        );
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
    }

    #[test]
    fn right_bytes_pass_and_any_other_are_named() {
        let folder = tempfile::tempdir().unwrap();
        packed(folder.path(), "small.gz", "hello");
        check_part(folder.path(), &SMALL).unwrap();
        for other in ["hellO", "hell", "hello there"] {
            packed(folder.path(), "small.gz", other);
            let text = check_part(folder.path(), &SMALL).unwrap_err().to_string();
            assert!(
                text.contains("small.gz") && text.contains(SMALL.sha256),
                "{text}"
            );
        }
    }

    #[test]
    fn file_that_is_no_gzip_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("small.gz"), "<html>404</html>").unwrap();
        let text = format!("{:#}", check_part(folder.path(), &SMALL).unwrap_err());
        assert!(
            text.contains("cannot decompress") && text.contains("small.gz"),
            "{text}"
        );
    }

    #[test]
    fn wrong_bytes_from_every_source_leave_nothing_and_every_reason() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("fashion-mnist");
        let wrong = |staging: &Staging| {
            let finished = staging.subfolder("finished")?;
            for part in &PARTS {
                packed(&finished, part.name, "not these");
            }
            Ok(finished)
        };
        let broken = |_: &Staging| -> Result<PathBuf> { bail!("no route to host") };
        let error = fetch_from_any(&place, &[("here", &wrong), ("there", &broken)]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("from here: train-images") && text.contains("SHA-256"),
            "{text}"
        );
        assert!(text.contains("from there: no route to host"), "{text}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
