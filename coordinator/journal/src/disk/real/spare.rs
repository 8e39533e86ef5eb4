//! One file of zeroes, made by a thread of its own before it is needed: writing 64 MiB at the moment when a segment is full
//! would hold the log up for longer than an election takes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Hidden from listings, and removed at the next start.
const SPARE: &str = ".spare";

/// At most one prepared file.
pub(super) struct Spare {
    path: PathBuf,
    stops: Arc<AtomicBool>,
    being_made: Mutex<Option<BeingMade>>,
}

struct BeingMade {
    bytes: u64,
    thread: JoinHandle<io::Result<File>>,
}

impl Spare {
    /// Removes what an earlier process left.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SPARE);
        if path.try_exists()? {
            fs::remove_file(&path)?;
        }
        Ok(Self {
            path,
            stops: Arc::new(AtomicBool::new(false)),
            being_made: Mutex::new(None),
        })
    }

    /// Begins to make a file of `bytes`, unless one is there or being made, or it would take more than half of what is free.
    pub(super) fn prepare(&self, bytes: u64) {
        let mut being_made = self.lock();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let has_room = super::free_bytes(folder).is_ok_and(|free| free / 2 >= bytes);
        if being_made.is_some() || bytes == 0 || !has_room {
            return;
        }
        let (path, stops) = (self.path.clone(), Arc::clone(&self.stops));
        let work = move || super::zeroed(&path, bytes, || stops.load(Ordering::Relaxed));
        // Without a thread the file is made when it is needed.
        if let Ok(thread) = thread::Builder::new()
            .name("spare segment".to_owned())
            .spawn(work)
        {
            *being_made = Some(BeingMade { bytes, thread });
        }
    }

    /// The file under the name `path`, if one of just that size was prepared. One that is still being made is waited for,
    /// which takes no longer than making another.
    pub(super) fn take(&self, bytes: u64, path: &Path) -> io::Result<Option<File>> {
        let mut being_made = self.lock();
        if being_made.as_ref().is_none_or(|made| made.bytes != bytes) {
            return Ok(None);
        }
        let Some(made) = being_made.take() else {
            return Ok(None);
        };
        // A spare that could not be made, for want of room perhaps, is no error: the caller tries again itself.
        let Ok(Ok(file)) = made.thread.join() else {
            return Ok(None);
        };
        fs::rename(&self.path, path)?;
        Ok(Some(file))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<BeingMade>> {
        self.being_made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        if let Some(made) = self.lock().take() {
            // Whatever came of it, the file goes.
            let _ = made.thread.join();
            let _ = fs::remove_file(&self.path);
        }
    }
}
