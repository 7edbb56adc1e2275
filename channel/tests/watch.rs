//! Files and directories that are watched: what is told, in which order, and how it ends; nothing is lost in silence.

mod common;

use common::{Scratch, each_driver, none_for};
use ec_channel::{Change, Event, EventChannel, Request, WatchFor};
use ec_test_support::{in_child, limit, refuse, skipped, went_well};
use ec_unkind as _;
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

fn next(channel: &EventChannel) -> Change {
    let event = channel.get_event().unwrap();
    assert!(!event.is_last(), "{event:?}");
    event.change().expect("an item has a change").clone()
}

/// What of what.
fn told(channel: &EventChannel) -> (WatchFor, Option<Vec<u8>>) {
    let change = next(channel);
    (change.what(), change.name().map(|name| name.as_bytes().to_vec()))
}

fn of(name: &str) -> Option<Vec<u8>> {
    Some(name.as_bytes().to_vec())
}

fn last(channel: &EventChannel) -> Event {
    let event = channel.get_event().unwrap();
    assert!(event.is_last() && event.change().is_none(), "{event:?}");
    event
}

#[test]
fn what_happens_in_a_directory_is_told_in_order() {
    limit(30, || {
        each_driver(|channel| {
            let place = Scratch::new();
            let all = WatchFor::CREATED | WatchFor::DELETED | WatchFor::MOVED | WatchFor::MODIFIED;
            let all = all | WatchFor::CLOSED_BY_WRITER | WatchFor::ATTRIBUTES;
            let id = channel.post(Request::watch(&*place, all).unwrap().token(3)).unwrap();
            fs::write(place.join("one"), "words").unwrap();
            fs::create_dir(place.join("below")).unwrap();
            fs::set_permissions(place.join("one"), fs::Permissions::from_mode(0o600)).unwrap();
            fs::rename(place.join("one"), place.join("two")).unwrap();
            // What is no UTF-8 is told byte by byte.
            let odd = OsStr::from_bytes(b"\xff\xfe");
            fs::rename(place.join("two"), place.join(odd)).unwrap();
            fs::rename(place.join(odd), place.join("below/three")).unwrap();
            fs::remove_dir_all(place.join("below")).unwrap();

            assert_eq!(told(&channel), (WatchFor::CREATED, of("one")));
            assert_eq!(told(&channel), (WatchFor::MODIFIED, of("one")));
            assert_eq!(told(&channel), (WatchFor::CLOSED_BY_WRITER, of("one")));
            let made = next(&channel);
            assert!(made.what() == WatchFor::CREATED && made.is_directory(), "{made:?}");
            assert_eq!(told(&channel), (WatchFor::ATTRIBUTES, of("one")));
            let halves = (next(&channel), next(&channel));
            assert_eq!((halves.0.what(), halves.1.what()), (WatchFor::MOVED_FROM, WatchFor::MOVED_TO));
            assert_eq!((halves.0.name(), halves.1.name()), (Some("one".as_ref()), Some("two".as_ref())));
            assert!(halves.0.cookie() == halves.1.cookie() && halves.0.cookie() != 0, "{halves:?}");
            assert_eq!(told(&channel), (WatchFor::MOVED_FROM, of("two")));
            assert_eq!(told(&channel), (WatchFor::MOVED_TO, Some(b"\xff\xfe".to_vec())));
            let away = next(&channel);
            assert!(away.what() == WatchFor::MOVED_FROM && away.cookie() != halves.0.cookie(), "{away:?}");
            assert_eq!(told(&channel), (WatchFor::DELETED, of("below")));
            channel.cancel(id);
            assert!(last(&channel).is_cancelled());
        })
    });
}

#[test]
fn a_file_is_watched_wherever_it_is_moved_until_it_is_deleted() {
    limit(30, || {
        each_driver(|channel| {
            let (place, other) = (Scratch::new(), Scratch::new());
            let (here, there) = (place.join("here"), other.join("there"));
            fs::write(&here, "").unwrap();
            channel.post(Request::watch(&here, WatchFor::MODIFIED | WatchFor::SELF_MOVED).unwrap()).unwrap();
            fs::rename(&here, &there).unwrap();
            // Another one that has the name is not meant.
            fs::write(&here, "words").unwrap();
            fs::write(&there, "words").unwrap();
            fs::remove_file(&there).unwrap();
            assert_eq!(told(&channel), (WatchFor::SELF_MOVED, None));
            assert_eq!(told(&channel), (WatchFor::MODIFIED, None));
            assert_eq!(told(&channel), (WatchFor::SELF_DELETED, None));
            let end = last(&channel);
            assert!(end.result().is_ok(), "{end:?}");
            // There is nothing more to be told, now or later.
            channel.post(end.again()).unwrap();
            assert!(last(&channel).result().is_ok());
            none_for(&channel, SOON);
        })
    });
}

#[test]
fn what_happens_while_nobody_fetches_comes_afterwards() {
    limit(30, || {
        each_driver(|channel| {
            let place = Scratch::new();
            let make = |n: u32| fs::write(place.join(n.to_string()), "").unwrap();
            let request = Request::watch(&*place, WatchFor::CREATED).unwrap();
            // From when it is made.
            make(0);
            let id = channel.post(request.credit(2)).unwrap();
            (1..200).for_each(make);
            assert_eq!(told(&channel), (WatchFor::CREATED, of("0")));
            assert!(channel.metrics().items <= 3, "{:?}", channel.metrics());
            for n in 1..100 {
                assert_eq!(told(&channel), (WatchFor::CREATED, of(&n.to_string())));
            }
            // What has come by then is told before the end, and the rest when it is posted again.
            channel.cancel(id);
            let mut n = 100;
            let mut event = channel.get_event().unwrap();
            while !event.is_last() {
                assert_eq!(event.change().unwrap().name(), Some(n.to_string().as_ref()));
                (n, event) = (n + 1, channel.get_event().unwrap());
            }
            assert!(event.is_cancelled() && n <= 102, "{n}: it pauses at two");
            make(200);
            channel.post(event.again()).unwrap();
            for n in n..=200 {
                assert_eq!(told(&channel), (WatchFor::CREATED, of(&n.to_string())));
            }
            none_for(&channel, SOON);
        })
    });
}

/// More than the kernel keeps of events that are not alike. Gives how many it keeps; `None`: too many for a test.
fn overflow(place: &Path) -> Option<usize> {
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").ok()?.trim().parse().ok()?;
    if most > 50_000 {
        return None;
    }
    let files = ["a", "b"].map(|name| CString::new(place.join(name).as_os_str().as_bytes()).unwrap());
    for n in 0..most + 10 {
        // SAFETY: a string with a zero at its end.
        assert_eq!(unsafe { libc::chmod(files[n % 2].as_ptr(), 0o600) }, 0);
    }
    Some(most)
}

#[test]
fn what_the_kernel_has_dropped_is_told() {
    limit(60, || {
        each_driver(|channel| {
            let place = Scratch::new();
            let names = ["a", "b"];
            names.iter().for_each(|name| fs::write(place.join(name), "").unwrap());
            let request = Request::watch(&*place, WatchFor::ATTRIBUTES | WatchFor::CREATED).unwrap();
            let Some(most) = overflow(&place) else {
                return skipped("the kernel keeps too many inotify events, or does not say how many");
            };
            channel.post(request).unwrap();
            for n in 0..most {
                let change = next(&channel);
                assert_eq!(
                    (change.what(), change.name()),
                    (WatchFor::ATTRIBUTES, Some(names[n % 2].as_ref()))
                );
            }
            let change = next(&channel);
            assert!(change.is_overflow() && change.name().is_none(), "{change:?}");
            assert_eq!(format!("{:?}", change.what()), "NOTHING");
            none_for(&channel, SOON);
            fs::write(place.join("c"), "").unwrap();
            assert_eq!(told(&channel), (WatchFor::CREATED, of("c")));
        })
    });
}

/// That it was deleted is among what is dropped.
#[test]
fn a_watch_ends_although_its_end_was_dropped() {
    limit(60, || {
        each_driver(|channel| {
            let place = Scratch::new();
            ["a", "b"].iter().for_each(|name| fs::write(place.join(name), "").unwrap());
            let request = Request::watch(&*place, WatchFor::ATTRIBUTES).unwrap();
            if overflow(&place).is_none() {
                return skipped("the kernel keeps too many inotify events, or does not say how many");
            }
            drop(place);
            channel.post(request).unwrap();
            while !next(&channel).is_overflow() {}
            assert!(last(&channel).result().is_ok());
        })
    });
}

#[test]
fn what_cannot_be_watched_is_refused_with_words() {
    limit(30, || {
        let place = Scratch::new();
        let nowhere = Request::watch(place.join("nowhere"), WatchFor::ALL).unwrap_err();
        assert_eq!(nowhere.kind(), std::io::ErrorKind::NotFound);
        assert!(nowhere.to_string().contains("nowhere cannot be watched: No such file"), "{nowhere}");
        let zero = Request::watch("with\0zero", WatchFor::ALL).unwrap_err();
        assert_eq!(zero.kind(), std::io::ErrorKind::InvalidInput);
        let none = Request::watch("", WatchFor::ALL).unwrap_err();
        assert_eq!(none.kind(), std::io::ErrorKind::NotFound);
    });
}

fn refused_with(name: &str, call: libc::c_long, errno: i32, words: &str) {
    went_well(in_child(name, || {
        if !refuse(&[call], errno) {
            return skipped("system calls cannot be refused here");
        }
        let error = Request::watch("/", WatchFor::ALL).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }));
}

#[test]
fn a_limit_of_instances_is_named() {
    let words = "/ cannot be watched: Too many open files (os error 24) (fs.inotify.max_user_instances ";
    refused_with("a_limit_of_instances_is_named", libc::SYS_inotify_init1, libc::EMFILE, words);
}

#[test]
fn a_limit_of_watches_is_named() {
    let words = "/ cannot be watched: No space left on device (os error 28) (fs.inotify.max_user_watches ";
    refused_with("a_limit_of_watches_is_named", libc::SYS_inotify_add_watch, libc::ENOSPC, words);
}

/// In a mount namespace of this thread's own.
#[test]
fn a_file_system_that_is_unmounted_is_told_and_ends_the_watch() {
    limit(30, || {
        each_driver(|channel| {
            let place = Scratch::new();
            let path = CString::new(place.as_os_str().as_bytes()).unwrap();
            // SAFETY: strings with zeros at their ends; the namespace is this thread's, which ends with the test.
            let mounted = unsafe {
                libc::unshare(libc::CLONE_NEWNS) == 0
                    && libc::mount(
                        std::ptr::null(),
                        c"/".as_ptr(),
                        std::ptr::null(),
                        libc::MS_REC | libc::MS_PRIVATE,
                        std::ptr::null(),
                    ) == 0
                    && libc::mount(c"none".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null())
                        == 0
            };
            if !mounted {
                return skipped(&format!("nothing can be mounted: {}", std::io::Error::last_os_error()));
            }
            channel.post(Request::watch(&*place, WatchFor::CREATED).unwrap()).unwrap();
            fs::write(place.join("file"), "").unwrap();
            // SAFETY: a string with a zero at its end.
            assert_eq!(unsafe { libc::umount2(path.as_ptr(), 0) }, 0);
            assert_eq!(told(&channel), (WatchFor::CREATED, of("file")));
            // (It may be called deleted, too: it was in memory alone.)
            let change = next(&channel);
            assert!(change.is_unmounted() && format!("{change:?}").contains("what: UNMOUNTED"), "{change:?}");
            assert!(last(&channel).result().is_ok());
        })
    });
}
