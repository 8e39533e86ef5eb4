//! The file that a key is read from.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use crate::key::{ClusterKey, MIN_SECRET_BYTES, WeakKey};

/// A key has 32 bytes or a few more; a larger file is a wrong file.
const MAX_FILE_BYTES: u64 = 4_096;

/// Permissions that the file may have: its owner may read and write it.
const OWNER_ONLY: u32 = 0o600;

/// A file is no good as a cluster key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The system refused.
    #[error("cannot read the cluster key {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("the cluster key {} is no regular file", .path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// Others may read it.
    #[error(
        "the cluster key {} has permissions {mode:04o}, wider than 0600, so that others may use it: run chmod 600 {0}",
        .path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no key.
    #[error(
        "the cluster key {} has {bytes} bytes, at most {MAX_FILE_BYTES} are read: is it the right file?",
        .path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// It can be guessed.
    #[error(
        "the cluster key {} is no good: {weakness}; make one with (umask 077; head -c {MIN_SECRET_BYTES} /dev/urandom > FILE) \
         and give it to every node",
        .path.display()
    )]
    Weak {
        /// The file.
        path: PathBuf,
        /// In which way.
        weakness: WeakKey,
    },
}

impl ClusterKey {
    /// Reads a key: at least 32 random bytes as they are, or as hexadecimal digits on one line.
    ///
    /// # Errors
    /// If there is no such file, others than its owner may use it, or it holds no key; each with what to do.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source: io::Error| KeyFileError::Read {
            path: path.to_owned(),
            source,
        };
        // Without waiting for someone to open the other end, should it be a pipe.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(path, flags, Mode::empty());
        let mut file = File::from(file.map_err(|error| failed(error.into()))?);
        // Asked of the open file: the path may lead elsewhere by now.
        let metadata = file.metadata().map_err(failed)?;
        let path = path.to_owned();
        if !metadata.is_file() {
            return Err(KeyFileError::NoFile { path });
        }
        let mode = metadata.mode() & 0o7777;
        if mode & !OWNER_ONLY != 0 {
            return Err(KeyFileError::Exposed { path, mode });
        }
        let bytes = metadata.len();
        if bytes > MAX_FILE_BYTES {
            return Err(KeyFileError::TooLong { path, bytes });
        }
        // Never grows, so that no copy of the secret stays behind in memory that was given back.
        let mut content = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize + 1));
        let read = (&mut file).take(MAX_FILE_BYTES).read_to_end(&mut content);
        read.map_err(|source| KeyFileError::Read {
            path: path.clone(),
            source,
        })?;
        secret(&content)
            .map_or_else(|| Self::new(&content), |decoded| Self::new(&decoded))
            .map_err(|weakness| KeyFileError::Weak { path, weakness })
    }
}

/// The bytes that the content spells, if it is one line of enough hexadecimal digits.
fn secret(content: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let line = content.trim_ascii_end();
    let digits = line.len() >= 2 * MIN_SECRET_BYTES && line.len().is_multiple_of(2);
    if !digits || !line.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut decoded = Zeroizing::new(Vec::with_capacity(line.len() / 2));
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        digit => (digit | 0x20) - b'a' + 10,
    };
    decoded.extend(
        line.chunks_exact(2)
            .map(|pair| value(pair[0]) << 4 | value(pair[1])),
    );
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;
    use crate::proof::Role;

    fn random() -> [u8; 32] {
        std::array::from_fn(|at| (at as u8).wrapping_mul(89).wrapping_add(10))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn written(content: &[u8], mode: u32) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn refused(content: &[u8], mode: u32) -> String {
        let (_folder, path) = written(content, mode);
        let error = ClusterKey::read(&path).unwrap_err().to_string();
        assert!(error.contains("cluster.key"), "{error}");
        error
    }

    #[test]
    fn raw_and_hexadecimal_files_hold_the_same_key() {
        let secret = random();
        let contents = [
            secret.to_vec(),
            hex(&secret).into_bytes(),
            format!("{}\n", hex(&secret)).into_bytes(),
            format!("{}\r\n", hex(&secret).to_uppercase()).into_bytes(),
        ];
        let expected = ClusterKey::new(&secret)
            .unwrap()
            .prove(Role::Dialer, &[b"x"]);
        for content in contents {
            for mode in [0o600, 0o400] {
                let (_folder, path) = written(&content, mode);
                let key = ClusterKey::read(&path).unwrap();
                assert_eq!(key.prove(Role::Dialer, &[b"x"]), expected);
            }
        }
    }

    #[test]
    fn every_byte_of_a_raw_file_counts() {
        let mut secret = random().to_vec();
        secret.push(b'\n');
        let (_folder, path) = written(&secret, 0o600);
        let key = ClusterKey::read(&path).unwrap();
        let without = ClusterKey::new(&random()).unwrap();
        assert_ne!(
            key.prove(Role::Dialer, &[b"x"]),
            without.prove(Role::Dialer, &[b"x"])
        );
    }

    #[test]
    fn file_that_others_may_use_is_refused_with_the_remedy() {
        for mode in [0o640, 0o604, 0o620, 0o644, 0o700, 0o666] {
            let error = refused(&random(), mode);
            assert!(
                error.contains(&format!("has permissions {mode:04o}")),
                "{error}"
            );
            assert!(error.contains("run chmod 600 /"), "{error}");
        }
    }

    #[test]
    fn file_that_holds_no_key_is_refused_with_the_remedy() {
        let short = refused(&random()[..31], 0o600);
        assert!(short.contains("31 bytes, at least 32"), "{short}");
        assert!(short.contains("head -c 32 /dev/urandom"), "{short}");
        let zeroes = refused(&[0; 64], 0o600);
        assert!(zeroes.contains("not random"), "{zeroes}");
        let zeroes = refused(&[b'0'; 64], 0o600);
        assert!(
            zeroes.contains("1 different values among 32 bytes"),
            "{zeroes}"
        );
        let long = refused(&random().repeat(200), 0o600);
        assert!(long.contains("6400 bytes, at most 4096"), "{long}");
        assert!(refused(b"", 0o600).contains("0 bytes"));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = ClusterKey::read(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("is no regular file"), "{error}");
        let missing = folder.path().join("nowhere");
        let error = ClusterKey::read(&missing).unwrap_err().to_string();
        assert!(error.contains("No such file or directory"), "{error}");
        let error = ClusterKey::read("/dev/null".as_ref()).unwrap_err();
        assert!(matches!(error, KeyFileError::NoFile { .. }), "{error}");
    }
}
