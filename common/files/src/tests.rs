use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, SystemTime};

use super::*;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn of_many_concurrent_creators_exactly_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slice");
    let start = Barrier::new(8);
    let outcomes: Vec<(u8, Created)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8u8)
            .map(|creator| {
                let (path, start) = (&path, &start);
                scope.spawn(move || {
                    start.wait();
                    (
                        creator,
                        create_new(path, |w| w.write_all(&[creator; 100_000])).unwrap(),
                    )
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let winners: Vec<u8> = outcomes
        .iter()
        .filter(|(_, c)| *c == Created::New)
        .map(|(creator, _)| *creator)
        .collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(fs::read(&path).unwrap(), vec![winners[0]; 100_000]);
    assert_eq!(names(folder.path()), ["slice"]);
}

#[test]
fn created_file_is_readable_by_all_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    // The temporary folder itself is 0700, so that a mode of 0644 was set on purpose.
    create_new(&path, |w| w.write_all(b"x")).unwrap();
    assert_eq!(mode(&path), 0o644);
    replace(&path, |w| w.write_all(b"y")).unwrap();
    assert_eq!(mode(&path), 0o644);
}

#[test]
fn writer_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let error = create_new(&path, |w| {
        w.write_all(&[1; 1_000_000])?;
        Err(io::Error::other("the tensor is gone"))
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot write {}: the tensor is gone", path.display())
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn failed_replacement_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    replace(&path, |_| Err(io::Error::other("no"))).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn existing_file_is_never_replaced_by_create_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "first").unwrap();
    assert_eq!(
        create_new(&path, |w| w.write_all(b"second")).unwrap(),
        Created::AlreadyThere
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "first");
}

#[test]
fn readers_see_old_or_new_during_a_replacement() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    replace(&path, |w| w.write_all(&[0; 50_000])).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..=40u8 {
                replace(&path, |w| w.write_all(&[round; 50_000])).unwrap();
            }
        });
        while !writer.is_finished() {
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes.len(), 50_000);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        }
    });
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn file_systems_without_nameless_files_behave_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Folder::of(&folder.path().join("file")).unwrap();
    let path = folder.path().join("file");
    let publish = |text: &str| {
        let mut file = Unfinished::named(&opened, &path).unwrap();
        file.file_mut().write_all(text.as_bytes()).unwrap();
        file.publish_new(&path).unwrap()
    };
    drop(Unfinished::named(&opened, &path).unwrap());
    assert!(
        names(folder.path()).is_empty(),
        "an abandoned file is removed"
    );
    assert_eq!(publish("first"), Created::New);
    assert_eq!(publish("second"), Created::AlreadyThere);
    assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    Unfinished::named(&opened, &path)
        .unwrap()
        .publish_over(&path)
        .unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    assert_eq!(mode(&path), 0o644);
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn missing_folder_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let error = create_new(&missing.join("file"), |_| Ok(())).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot open folder {0}: No such file or directory (os error 2); there is no folder {0}: create it, or \
             correct the path",
            missing.display()
        )
    );
}

#[test]
fn advice_names_the_first_folder_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("a");
    let error = FileError::new("read", &missing.join("b/file"), rustix::io::Errno::NOENT);
    assert_eq!(error.missing_folder(), Some(missing.as_path()));
    let file = FileError::new("read", &missing, rustix::io::Errno::NOENT);
    assert_eq!(file.missing_folder(), None, "its folder is there");
}

#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("disk")).unwrap();
    let (link, target) = (
        folder.path().join("link"),
        folder.path().join("disk/target"),
    );
    symlink("middle", &link).unwrap();
    symlink("disk/target", folder.path().join("middle")).unwrap();
    // First to where nothing is yet.
    for text in ["first", "second"] {
        replace(&link, |w| w.write_all(text.as_bytes())).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), text);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("middle"));
    }
    assert_eq!(names(folder.path()), ["disk", "link", "middle"]);
    probe_replaceable(&link).unwrap();
    symlink("round", folder.path().join("round")).unwrap();
    let error = replace(&folder.path().join("round"), |_| Ok(())).unwrap_err();
    assert!(
        error.to_string().contains("symbolic links"),
        "a link to itself leads nowhere: {error}"
    );
}

#[test]
fn a_pipe_is_written_to_and_stays_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let error = replace(&pipe, |w| w.write_all(b"unheard")).unwrap_err();
    assert!(
        error.to_string().contains("once someone reads from it"),
        "{error}"
    );
    // Opened to write as well, so that it waits for nobody.
    let mut reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    probe_replaceable(&pipe).unwrap();
    replace(&pipe, |w| w.write_all(b"heard")).unwrap();
    let mut heard = [0; 5];
    reader.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"heard");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(names(folder.path()), ["pipe"]);
}

#[test]
fn a_socket_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for error in [
        probe_replaceable(&socket).unwrap_err(),
        replace(&socket, |w| w.write_all(b"unheard")).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            format!(
                "cannot write {}: it is a socket, and those cannot be opened as files: name a file or a pipe",
                socket.display()
            )
        );
    }
    assert_eq!(names(folder.path()), ["socket"]);
}

#[test]
fn a_file_that_is_named_by_its_descriptor_gets_the_bytes_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"first, ").unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    let link = folder.path().join("link");
    symlink(format!("/dev/fd/{}", file.as_raw_fd()), &link).unwrap();
    for (way, text) in [
        (
            format!("/proc/self/fd/{}", file.as_raw_fd()),
            "then, ".to_owned(),
        ),
        (link.to_str().unwrap().to_owned(), "last".to_owned()),
    ] {
        let way = Path::new(&way);
        probe_replaceable(way).unwrap();
        assert_eq!(replaced_file(way).unwrap(), None);
        replace(way, |w| w.write_all(text.as_bytes())).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "first, then, last");
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    // What the descriptor shows as its target names nothing any more.
    fs::remove_file(&path).unwrap();
    replace(&link, |w| w.write_all(b"unseen")).unwrap();
    assert_eq!(names(folder.path()), ["link"]);
    // Beyond every number that a process gets.
    let error = probe_replaceable(Path::new("/dev/fd/999999999")).unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

/// Set in the process that this test starts again with files as its standard output and error.
const OUTPUTS: &str = "CONVOY_FILES_OUTPUTS";

#[test]
fn standard_output_keeps_what_was_written_there_before_and_after() {
    if std::env::var_os(OUTPUTS).is_some() {
        for (path, mut stream) in [
            ("/dev/stdout", Box::new(io::stdout()) as Box<dyn Write>),
            ("/dev/stderr", Box::new(io::stderr())),
        ] {
            let path = Path::new(path);
            // No end of line, so that it is still in a buffer.
            stream.write_all(b"<before>").unwrap();
            probe_replaceable(path).unwrap();
            assert_eq!(replaced_file(path).unwrap(), None);
            replace(path, |w| w.write_all(b"<written>")).unwrap();
            stream.write_all(b"<after>\n").unwrap();
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact"])
        .arg("tests::standard_output_keeps_what_was_written_there_before_and_after")
        .env(OUTPUTS, "files")
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&err).unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{}", fs::read_to_string(&err).unwrap());
    for file in [out, err] {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains("<before><written><after>"), "{text}");
    }
}

#[test]
fn standard_output_that_takes_nothing_is_told_before_anything_is_written() {
    if std::env::var_os(OUTPUTS).is_some() {
        let error = probe_replaceable(Path::new("/dev/stdout")).unwrap_err();
        assert!(error.to_string().contains("Bad file descriptor"), "{error}");
        return;
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact"])
        .arg("tests::standard_output_that_takes_nothing_is_told_before_anything_is_written")
        .env(OUTPUTS, "read")
        .stdout(fs::File::open("/dev/null").unwrap())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn what_cannot_be_replaced_is_told_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let error = probe_replaceable(folder.path()).unwrap_err();
    assert!(error.to_string().contains("Is a directory"), "{error}");
    let new = folder.path().join("reports/summary.json");
    probe_replaceable(&new).unwrap();
    assert!(names(new.parent().unwrap()).is_empty());
}

/// A boot of some machine; this one is another, but for a chance of one in 2^48.
const ELSEWHERE: &str = "0123456789ab";

fn set_age(path: &Path, hours: u64) {
    let then = SystemTime::now() - Duration::from_secs(hours * 60 * 60);
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(then).unwrap();
}

#[test]
fn what_a_killed_writer_left_goes_when_someone_writes_into_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let opened = Folder::of(&path).unwrap();
    let boot = crate::temporary::this_boot().unwrap();
    let held = format!(".held.{boot}-7-0.convoy.tmp");
    let kept = [
        held.clone(),
        format!(".other.{boot}-7-3.tmp"),
        format!("file.{boot}-7-3.convoy.tmp"),
        format!(".file.{boot}-7.convoy.tmp"),
        format!(".file.{boot}-7-3-1.convoy.tmp"),
        ".file.convoy.tmp".to_owned(),
    ];
    // In a container a process gets the number of the one that was killed again and again, this one's here.
    let here = std::process::id();
    let left = [
        format!(".file.{boot}-{here}-700.convoy.tmp"),
        format!(".step.g1.{boot}-7-12.convoy.tmp"),
    ];
    for name in kept.iter().chain(&left) {
        fs::write(folder.path().join(name), "half").unwrap();
        set_age(&folder.path().join(name), 48);
    }
    fs::write(folder.path().join(&left[0]), "written to just now").unwrap();
    let writer = fs::File::open(folder.path().join(&held)).unwrap();
    writer.lock().unwrap();
    drop(Unfinished::named(&opened, &path).unwrap());
    let mut expected = kept.to_vec();
    expected.sort();
    assert_eq!(names(folder.path()), expected);

    // The writer is gone now; replacing sweeps as well.
    drop(writer);
    fs::write(&path, "old").unwrap();
    replace(&path, |w| w.write_all(b"new")).unwrap();
    expected.retain(|name| *name != held);
    expected.push("file".to_owned());
    expected.sort();
    assert_eq!(names(folder.path()), expected);
}

#[test]
fn what_another_boot_left_goes_a_day_after_it_was_last_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let opened = Folder::of(&path).unwrap();
    let name = |boot: &str, number: u32| format!(".file.{boot}-7-{number}.convoy.tmp");
    // That nobody holds them shows nothing: the mount may keep a lock to the machine that took it.
    let ages = [
        (name(ELSEWHERE, 0), 0),
        (name(ELSEWHERE, 1), 23),
        (name(ELSEWHERE, 2), 25),
        (name("unknown", 3), 23),
        (name("unknown", 4), 25),
    ];
    for (name, hours) in &ages {
        fs::write(folder.path().join(name), "half").unwrap();
        set_age(&folder.path().join(name), *hours);
    }
    let held = name(ELSEWHERE, 5);
    let writer = fs::File::create(folder.path().join(&held)).unwrap();
    writer.lock().unwrap();
    set_age(&folder.path().join(&held), 25);
    crate::temporary::sweep(&opened);
    let kept = [
        ages[0].0.as_str(),
        ages[1].0.as_str(),
        held.as_str(),
        ages[3].0.as_str(),
    ];
    assert_eq!(names(folder.path()), kept);
}

#[test]
fn file_that_is_being_written_is_swept_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let opened = Folder::of(&path).unwrap();
    let mut file = Unfinished::named(&opened, &path).unwrap();
    let [name] = names(folder.path()).try_into().unwrap();
    crate::temporary::sweep(&opened);
    assert_eq!(names(folder.path()), [name.as_str()]);
    // As another machine sees it, where locks are not shared.
    let boot = crate::temporary::this_boot().unwrap();
    let elsewhere = name.replace(boot, ELSEWHERE);
    assert_ne!(name, elsewhere);
    fs::rename(folder.path().join(&name), folder.path().join(&elsewhere)).unwrap();
    crate::temporary::sweep(&opened);
    assert_eq!(names(folder.path()), [elsewhere.as_str()]);
    fs::rename(folder.path().join(&elsewhere), folder.path().join(&name)).unwrap();
    file.file_mut().write_all(b"whole").unwrap();
    assert_eq!(file.publish_new(&path).unwrap(), Created::New);
    assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
}

#[test]
fn probing_creates_the_folder_and_leaves_it_empty() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b/c");
    probe_writable(&deep).unwrap();
    assert!(names(&deep).is_empty());
    probe_writable(&deep).unwrap();
}

#[test]
fn probing_names_what_stands_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = probe_writable(&file.join("checkpoints")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot create folder {}: File exists (os error 17)",
            file.display()
        )
    );
}

#[test]
fn folder_that_cannot_be_made_where_it_was_wanted_is_told_with_what_to_do() {
    let error = probe_writable(Path::new("/proc/checkpoints")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot create folder /proc/checkpoints: No such file or directory (os error 2); no folder can be made there: \
         choose another place"
    );
}

#[test]
fn full_disk_is_told_with_the_bytes_that_are_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let error = create_new(&path, |_| Err(rustix::io::Errno::NOSPC.into())).unwrap_err();
    let free = error.free_bytes().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot write {}: No space left on device (os error 28); {free} bytes are free on its file system: \
             make room or choose another folder",
            path.display()
        )
    );
}

/// Set in the process that this test starts again inside a mount namespace of its own.
const TINY_DISK: &str = "CONVOY_FILES_TINY_DISK";

#[test]
fn disk_that_fills_up_keeps_no_part_of_the_file() {
    if let Some(disk) = std::env::var_os(TINY_DISK) {
        fill_up(Path::new(&disk));
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let run = "mount -t tmpfs -o size=64k tmpfs \"$1\" || exit 77; \
               exec \"$2\" --exact tests::disk_that_fills_up_keeps_no_part_of_the_file";
    let inside = std::process::Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            run,
            "sh",
        ])
        .args([disk.path(), program.as_path()])
        .env(TINY_DISK, disk.path())
        .output();
    let Ok(output) = inside else {
        println!("skipped: there is no `unshare` to make a tiny disk with");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("running 1 test") {
        assert!(output.status.success(), "{text}");
    } else {
        println!(
            "skipped: this user may mount no tiny disk: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn fill_up(disk: &Path) {
    let path = disk.join("file");
    let error = create_new(&path, |w| w.write_all(&[1; 200_000])).unwrap_err();
    assert_eq!(
        error.free_bytes(),
        Some(0),
        "looked up while the file was still open: {error}"
    );
    assert!(names(disk).is_empty());
    create_new(&path, |w| w.write_all(&[1; 20_000])).unwrap();
    replace(&path, |w| w.write_all(&[2; 60_000])).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), vec![1; 20_000]);
    assert_eq!(names(disk), ["file"]);
}
