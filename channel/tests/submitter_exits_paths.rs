//! What names files takes effect exactly once, although the threads that post it and drive the channel exit at once.

mod common;

use common::{Scratch, each_driver};
use ec_channel::{OpenOptions, Request};
use ec_test_support::limit;
use std::path::Path;
use std::time::Duration;

/// So many of each kind, and so many by one thread.
const ALL: usize = 1000;
const AT_ONCE: usize = 50;

/// Each of them fails if it is done a second time.
fn once_each(request: impl Fn(&Path) -> Request + Sync, prepare: impl Fn(&Path)) {
    limit(120, || {
        each_driver(|channel| {
            let folder = Scratch::quick();
            for round in 0..ALL / AT_ONCE {
                let place = |at: usize| folder.join(format!("{round}-{at}"));
                (0..AT_ONCE).for_each(|at| prepare(&place(at)));
                std::thread::scope(|s| {
                    s.spawn(|| {
                        channel
                            .post_all((0..AT_ONCE).map(|at| request(&place(at)).token(at as u64)))
                            .unwrap();
                        // Takes them in, and ends.
                        let early = channel.get_event_timeout(Duration::ZERO).unwrap();
                        if let Some(event) = early {
                            assert_eq!(event.failure(), None);
                            channel.post(Request::notification().token(event.token())).unwrap();
                        }
                    });
                });
                let mut came: Vec<u64> = (0..AT_ONCE)
                    .map(|_| {
                        let event = channel.get_event().unwrap();
                        assert_eq!(event.failure(), None, "{event:?} in round {round}");
                        event.token()
                    })
                    .collect();
                came.sort();
                assert!(came.into_iter().eq(0..AT_ONCE as u64));
            }
        })
    });
}

fn file(at: &Path) {
    std::fs::write(at, "").unwrap();
}

fn nothing(_at: &Path) {}

fn other(at: &Path) -> std::path::PathBuf {
    at.with_extension("other")
}

#[test]
fn renames() {
    once_each(|at| Request::rename(at, other(at)), file);
}

#[test]
fn folders_made() {
    once_each(|at| Request::mkdir(at, 0o700), nothing);
}

#[test]
fn folders_removed() {
    once_each(|at| Request::rmdir(at), |at| std::fs::create_dir(at).unwrap());
}

#[test]
fn links() {
    once_each(|at| Request::link(at, other(at)), file);
}

#[test]
fn names_taken_away() {
    once_each(|at| Request::unlink(at), file);
}

#[test]
fn symbolic_links() {
    once_each(|at| Request::symlink("nowhere", at), nothing);
}

#[test]
fn files_created() {
    let options = OpenOptions::new().write(true).create_new(true).clone();
    once_each(move |at| Request::open(at, &options), nothing);
}

/// (This one the ring does itself, and it does no harm to ask again.)
#[test]
fn files_asked_about() {
    once_each(|at| Request::stat(at), file);
}
