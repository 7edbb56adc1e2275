//! Files opened.

use crate::common::{Scratch, each_driver};
use crate::named::{self, EITHER, effect, looked_at, scene, write};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, OpenOptions, Request};
use ec_test_support::limit;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};

pub static ROW: Row = Row {
    kind: EventKind::Open,
    on_descriptor: true,
    completes: Cell::Can { make: read, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || existing("none"), allowed: &[Outcome::Failed(libc::ENOENT)] },
    // It waits for nobody: a cancel comes before it has begun, or too late. (What waits has a row of its own below.)
    cancelled: Cell::Can { make: create, allowed: EITHER },
    races: Cell::Can { make: create, allowed: EITHER },
    shut_down: Cell::Can { make: read, allowed: EITHER },
    inputs: &[
        Input { words: "a folder", make: || existing(""), gives: Ok(0) },
        Input {
            words: "a folder, to write",
            make: || scene(|_| (), |it| Request::open(it, OpenOptions::new().write(true))),
            gives: Err(libc::EISDIR),
        },
        Input { words: "below a file", make: || existing("file/below"), gives: Err(libc::ENOTDIR) },
        Input {
            words: "no name at all",
            make: || Scene::new(Request::open("", OpenOptions::new().read(true))),
            gives: Err(libc::ENOENT),
        },
        Input { words: "a NUL", make: || existing("\0"), gives: Err(libc::EINVAL) },
        Input {
            words: "too long",
            make: || {
                scene(|_| (), |it| Request::open(it.join(named::too_long()), OpenOptions::new().read(true)))
            },
            gives: Err(libc::ENAMETOOLONG),
        },
        Input {
            words: "new, and there",
            make: || with(OpenOptions::new().write(true).create_new(true)),
            gives: Err(libc::EEXIST),
        },
        Input { words: "for nothing", make: || with(&mut OpenOptions::new()), gives: Err(libc::EINVAL) },
        Input {
            words: "made, and not written",
            make: || with(OpenOptions::new().read(true).create(true)),
            gives: Err(libc::EINVAL),
        },
        Input { words: "a link not to follow", make: || not_to_follow(), gives: Err(libc::ELOOP) },
        Input {
            words: "a fifo, not to wait",
            make: || not_to_wait(OpenOptions::new().read(true)),
            gives: Ok(0),
        },
        Input {
            words: "a fifo nobody reads, not to wait",
            make: || not_to_wait(OpenOptions::new().write(true)),
            gives: Err(libc::ENXIO),
        },
        Input {
            words: "both ends of a fifo",
            make: || {
                scene(
                    |it| named::fifo(&it.join("a")),
                    |it| Request::open(it.join("a"), OpenOptions::new().read(true).write(true)),
                )
            },
            gives: Ok(0),
        },
        Input { words: "a fifo with its other end", make: fifo, gives: Ok(0) },
    ],
};

/// The open of a FIFO that nobody has the other end of.
static WAITS: Row = Row {
    kind: EventKind::Open,
    on_descriptor: true,
    completes: Cell::Can { make: waits, allowed: &[Outcome::Done] },
    fails: Cell::Cannot("whoever comes to the other end makes it complete"),
    cancelled: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: waits, allowed: EITHER },
    shut_down: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    inputs: &[Input { words: "its limit comes first", make: in_vain, gives: Err(libc::ETIME) }],
};

#[test]
fn each_driver_keeps_the_row_of_an_open_that_waits() {
    limit(120, || crate::table::holds(&WAITS));
}

fn waits() -> Scene {
    let folder = Scratch::quick();
    let path = folder.join("fifo");
    named::fifo(&path);
    let (tell, other_end) = std::sync::mpsc::channel();
    Scene::new(Request::open(&path, OpenOptions::new().read(true)))
        // (Who has both ends does not wait.)
        .cause(move || drop(tell.send(File::options().read(true).write(true).open(path).unwrap())))
        .check(move |got, outcome| {
            let _open = (other_end, folder);
            let opened = got.event.as_mut().and_then(|event| event.take_opened());
            ensure(opened.is_some() == (outcome == Outcome::Done), || format!("{outcome}: {opened:?}"))
        })
}

fn in_vain() -> Scene {
    let folder = Scratch::quick();
    named::fifo(&folder.join("fifo"));
    let request = Request::open(folder.join("fifo"), OpenOptions::new().write(true));
    Scene::new(request.within(crate::SOON)).keeping(folder)
}

fn existing(name: &'static str) -> Scene {
    scene(|it| write(it.join("file")), move |it| Request::open(it.join(name), OpenOptions::new().read(true)))
}

fn with(options: &mut OpenOptions) -> Scene {
    scene(|it| write(it.join("file")), |it| Request::open(it.join("file"), options))
}

fn read() -> Scene {
    looked_at(existing("file"), |got, outcome| {
        let opened = got.event.as_mut().and_then(|event| event.take_opened());
        let content = opened.map(|it| std::io::read_to_string(File::from(it)).unwrap());
        let due = (outcome == Outcome::Done).then_some("content");
        ensure(content.as_deref() == due, || format!("{outcome}, and read {content:?}"))
    })
}

/// The file is there exactly if it is done.
fn create() -> Scene {
    let options = OpenOptions::new().write(true).create_new(true).clone();
    let request = move |it: &std::path::Path| Request::open(it.join("new"), &options);
    effect(|_| (), request, |it| it.join("new").exists(), |it| !it.join("new").exists())
}

fn not_to_follow() -> Scene {
    let options = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).clone();
    let link = |it: &std::path::Path| symlink("file", it.join("link")).unwrap();
    scene(link, move |it| Request::open(it.join("link"), &options))
}

fn not_to_wait(options: &mut OpenOptions) -> Scene {
    let options = options.custom_flags(libc::O_NONBLOCK);
    scene(|it| named::fifo(&it.join("a")), |it| Request::open(it.join("a"), options))
}

/// Whoever has the other end comes before, or after.
fn fifo() -> Scene {
    let folder = Scratch::quick();
    let path = folder.join("fifo");
    named::fifo(&path);
    Scene::new(Request::open(&path, OpenOptions::new().read(true)))
        .cause(move || drop(std::thread::spawn(move || drop(File::options().write(true).open(path)))))
        .keeping(folder)
}

#[test]
fn what_is_opened_is_opened_as_the_options_say() {
    limit(30, || {
        each_driver(|channel| {
            let folder = Scratch::quick();
            let path = folder.join("file");
            let open = |options: &OpenOptions| {
                channel.post(Request::open(&path, options)).unwrap();
                let mut event = channel.get_event().unwrap();
                event.result().unwrap();
                let file = File::from(event.take_opened().unwrap());
                assert!(event.take_opened().is_none());
                // SAFETY: no pointer is passed.
                let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) };
                assert_eq!(flags, libc::FD_CLOEXEC);
                file
            };
            let mut new = open(OpenOptions::new().read(true).write(true).create_new(true).mode(0o600));
            new.write_all(b"one").unwrap();
            assert_eq!(new.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            open(OpenOptions::new().append(true).create(true)).write_all(b"two").unwrap();
            open(OpenOptions::new().write(true)).write_all(b"O").unwrap();
            let content = |mut file: File| {
                let mut content = String::new();
                file.read_to_string(&mut content).unwrap();
                content
            };
            assert_eq!(content(open(OpenOptions::new().read(true))), "Onetwo");
            assert_eq!(content(open(OpenOptions::new().read(true).write(true).truncate(true))), "");
        })
    });
}
