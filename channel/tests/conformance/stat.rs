//! What there is to know of files.

use crate::common::{Scratch, each_driver};
use crate::named::{self, EITHER, looked_at, scene, write};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Metadata, Request};
use ec_test_support::limit;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

pub static ROW: Row = Row {
    kind: EventKind::Stat,
    on_descriptor: true,
    completes: Cell::Can { make: found, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || of("none"), allowed: &[Outcome::Failed(libc::ENOENT)] },
    // It waits for nobody: a cancel comes before it has begun, or too late.
    cancelled: Cell::Can { make: found, allowed: EITHER },
    races: Cell::Can { make: found, allowed: EITHER },
    shut_down: Cell::Can { make: found, allowed: EITHER },
    inputs: &[
        Input { words: "below a file", make: || of("file/below"), gives: Err(libc::ENOTDIR) },
        Input { words: "no name at all", make: || Scene::new(Request::stat("")), gives: Err(libc::ENOENT) },
        Input { words: "a NUL", make: || of("\0"), gives: Err(libc::EINVAL) },
        Input {
            words: "too long",
            make: || scene(|_| (), |it| Request::stat(it.join(named::too_long()))),
            gives: Err(libc::ENAMETOOLONG),
        },
        Input { words: "a link to nothing", make: || to_nothing(Request::stat), gives: Err(libc::ENOENT) },
        Input { words: "that link itself", make: || to_nothing(Request::lstat), gives: Ok(0) },
        Input { words: "links that never end", make: || for_ever(), gives: Err(libc::ELOOP) },
        Input {
            words: "a fifo",
            make: || scene(|it| named::fifo(&it.join("a")), |it| Request::stat(it.join("a"))),
            gives: Ok(0),
        },
        Input {
            words: "of a socket",
            make: || Scene::new(Request::stat_of(world::unconnected())),
            gives: Ok(0),
        },
        Input { words: "of O_PATH", make: || Scene::new(Request::stat_of(world::path_only())), gives: Ok(0) },
        Input {
            words: "of no descriptor",
            make: || Scene::new(Request::stat_of(world::not_open())),
            gives: Err(libc::EBADF),
        },
    ],
};

fn of(name: &'static str) -> Scene {
    scene(|it| write(it.join("file")), move |it| Request::stat(it.join(name)))
}

fn to_nothing(request: fn(std::path::PathBuf) -> Request) -> Scene {
    scene(|it| symlink("nothing", it.join("a")).unwrap(), move |it| request(it.join("a")))
}

fn for_ever() -> Scene {
    scene(|it| symlink("a", it.join("a")).unwrap(), |it| Request::stat(it.join("a")))
}

/// It is there exactly if it is done.
fn found() -> Scene {
    looked_at(of("file"), |got, outcome| {
        let len = got.event.as_ref().and_then(|event| event.metadata()).map(|found| found.len());
        ensure(len == (outcome == Outcome::Done).then_some(7), || format!("{outcome}, and found {len:?}"))
    })
}

fn assert_same(ours: &Metadata, std: &std::fs::Metadata) {
    let kind = std.file_type();
    assert_eq!(
        (ours.is_file(), ours.is_dir(), ours.is_symlink()),
        (kind.is_file(), kind.is_dir(), kind.is_symlink())
    );
    use std::os::unix::fs::FileTypeExt;
    assert_eq!(
        (ours.is_fifo(), ours.is_socket(), ours.is_block_device(), ours.is_char_device()),
        (kind.is_fifo(), kind.is_socket(), kind.is_block_device(), kind.is_char_device())
    );
    assert_eq!(ours.permissions(), std.permissions());
    assert_eq!(ours.permissions().mode(), ours.mode());
    assert_eq!((ours.len(), ours.mode(), ours.ino()), (std.len(), std.mode(), std.ino()));
    assert_eq!((ours.dev(), ours.rdev(), ours.nlink()), (std.dev(), std.rdev(), std.nlink()));
    assert_eq!((ours.uid(), ours.gid()), (std.uid(), std.gid()));
    assert_eq!((ours.blksize(), ours.blocks()), (std.blksize(), std.blocks()));
    assert_eq!(ours.modified().unwrap(), std.modified().unwrap());
    assert_eq!(ours.accessed().unwrap(), std.accessed().unwrap());
    assert_eq!(ours.created().ok(), std.created().ok());
    let changed = ours.changed().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!((changed.as_secs(), changed.subsec_nanos()), (std.ctime() as u64, std.ctime_nsec() as u32));
}

#[test]
fn what_is_found_is_what_std_finds() {
    limit(30, || {
        each_driver(|channel| {
            let folder = Scratch::quick();
            let (file, link, fifo) = (folder.join("file"), folder.join("link"), folder.join("fifo"));
            write(&file);
            symlink("file", &link).unwrap();
            named::fifo(&fifo);
            // (Long before the clock began.)
            let old = std::time::UNIX_EPOCH - std::time::Duration::from_millis(2500);
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
            let ask = |request| {
                channel.post(request).unwrap();
                let event = channel.get_event().unwrap();
                event.result().unwrap();
                event.metadata().unwrap()
            };
            for path in [&file, &link, &fifo, &folder.to_path_buf(), &"/dev/null".into()] {
                assert_same(&ask(Request::stat(path)), &std::fs::metadata(path).unwrap());
                assert_same(&ask(Request::lstat(path)), &std::fs::symlink_metadata(path).unwrap());
            }
            let open = std::fs::File::open(&file).unwrap();
            let found = open.metadata().unwrap();
            assert_same(&ask(Request::stat_of(open)), &found);
        })
    });
}
