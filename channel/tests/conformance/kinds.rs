//! Which requests are of which kind, and what kinds are called.

use crate::common::room;
use crate::world;
use ec_channel::{
    Advice, Allocation, Ancillary, BufferPool, EventChannel, EventKind, Interest, OpenOptions, Pages,
    Request, WatchFor,
};
use ec_test_support::limit;
use std::collections::BTreeSet;
use std::net::{Shutdown, SocketAddr};
use std::process::Command;
use std::sync::{Arc, atomic::AtomicU32};
use std::time::{Duration, Instant, SystemTime};

/// Of each constructor its name, and a request that it has made.
fn all() -> Vec<(&'static str, Request)> {
    let (it, other) = (world::null, world::null);
    let (soon, to) = (Duration::from_secs(1), SocketAddr::from(([127, 0, 0, 1], 9)));
    let (word, pages) = (Arc::new(AtomicU32::new(0)), || Pages::with_capacity(1));
    let signal_posts = || Request::signal_posts().unwrap().1;
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    macro_rules! made {
        ($($name:ident($($argument:expr),*),)*) => {
            vec![$((stringify!($name), Request::$name($($argument),*)),)*]
        };
    }
    let mut all = made![
        accept(it()),
        accept_many(it()),
        connect(it(), to),
        connect_to(it(), to.into()),
        recv(it(), room(1)),
        send(it(), room(1)),
        recv_from(it(), room(1)),
        send_to(it(), room(1), to),
        recv_vectored(it(), vec![]),
        send_vectored(it(), vec![]),
        recv_msg(it(), room(1), 0),
        send_msg(it(), room(1), Ancillary::new()),
        send_msg_to(it(), room(1), Ancillary::new(), to.into()),
        recv_pooled(it(), &BufferPool::new(1, 1)),
        send_zero_copy(it(), room(1)),
        shutdown(it(), Shutdown::Both),
        readiness(it(), Interest::READABLE),
        readiness_stream(it(), Interest::READABLE),
        timer(soon),
        timer_at(Instant::now()),
        interval(soon),
        interval_at(Instant::now(), soon),
        wall_clock(SystemTime::now()),
        child_exit(child),
        process_exit(1),
        pidfd_exit(it()),
        notification(),
        read(it(), room(1)),
        write(it(), room(1)),
        read_at(it(), room(1), 0),
        write_at(it(), room(1), 0),
        read_at_vectored(it(), vec![], 0),
        write_at_vectored(it(), vec![], 0),
        fsync(it()),
        fdatasync(it()),
        allocate(it(), Allocation::Reserve, 0, 1),
        truncate(it(), 0),
        advise(it(), 0, 0, Advice::Normal),
        close(world::eventfd(0)),
        read_direct(it(), pages(), 0),
        write_direct(it(), pages(), 0),
        work(|| ()),
        open("x", OpenOptions::new().read(true)),
        stat("x"),
        lstat("x"),
        stat_of(it()),
        rename("x", "y"),
        link("x", "y"),
        symlink("x", "y"),
        unlink("x"),
        mkdir("x", 0),
        rmdir("x"),
        read_link("x", room(1)),
        get_xattr("x", "y", room(1)),
        list_xattr("x", room(1)),
        set_xattr("x", "y", room(1)),
        remove_xattr("x", "y"),
        splice(it(), other(), 1),
        splice_at(it(), None, other(), None, 1),
        tee(it(), other(), 1),
        pump(it(), other()),
        word(word, 0),
    ];
    all.push(("watch", Request::watch("/", WatchFor::ALL).unwrap()));
    all.push(("signal", Request::signal(libc::SIGWINCH).unwrap()));
    all.push(("signals", Request::signals([libc::SIGWINCH]).unwrap()));
    all.push(("signal_posts", signal_posts()));
    all
}

/// The page of [`EventKind`] has at each kind the constructors that make it, all of them.
#[test]
fn each_kind_names_its_constructors() {
    let list = include_str!("../../src/kinds/mod.rs");
    let said = |line: &'static str| {
        let (kind, by) = line.strip_prefix("    ")?.strip_suffix(';')?.split_once(" = ")?;
        let (_, name) = kind.split_once(": ")?;
        Some(by.split(", ").map(move |by| (name.to_owned(), by)))
    };
    let (_, list) = list.split_once("\nkinds! {\n").unwrap();
    let (list, _) = list.split_once("\n}\n").unwrap();
    let said: BTreeSet<_> = list.lines().filter_map(said).flatten().collect();
    let made: BTreeSet<_> =
        all().into_iter().map(|(by, request)| (format!("{:?}", request.kind()), by)).collect();
    assert_eq!(said, made);
    // There are no others.
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/kinds")).unwrap();
    let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let mut there = BTreeSet::new();
    for text in texts {
        let mut in_request = false;
        for line in text.lines() {
            if !line.starts_with(' ') && line.ends_with('{') {
                in_request = line == "impl Request {";
            }
            let constructor =
                line.strip_prefix("    pub fn ").filter(|it| in_request && !it.contains("self"));
            there.extend(constructor.map(|it| it.split(['(', '<']).next().unwrap().to_owned()));
        }
    }
    assert_eq!(there, made.into_iter().map(|(_, by)| by.to_owned()).collect());
}

/// What a list of what is in flight says of each kind. (Each is given up before it is taken in, so that none begins.)
#[test]
fn each_kind_in_flight_has_its_descriptor() {
    limit(30, || {
        let channel = EventChannel::new().unwrap();
        for (by, request) in all() {
            let (kind, shown) = (request.kind(), format!("{request:?}"));
            let id = channel.post(request.token(7)).unwrap();
            channel.cancel(id);
            let list = channel.in_flight().unwrap();
            let event = channel.get_event().unwrap();
            assert!(event.is_last());
            if kind == EventKind::Notification && by == "notification" {
                assert_eq!(list, [], "it is complete as it is posted");
                continue;
            }
            let [it] = &list[..] else { panic!("{list:?}") };
            assert_eq!((it.id, it.kind, it.token), (id, kind, 7));
            let printed = format!("{event:?}");
            let number = printed.split_once("descriptor: ").map(|(_, rest)| rest.split(',').next().unwrap());
            match number {
                Some(number) => assert_eq!(it.descriptor, number.parse().ok(), "{shown}"),
                None => assert_eq!(it.descriptor.is_some(), kind == EventKind::Close, "{shown}"),
            }
        }
    });
}

#[test]
fn a_kind_has_a_name_and_a_number_and_these_lead_back() {
    let mut names = BTreeSet::new();
    for kind in EventKind::ALL {
        assert_eq!(EventKind::from_number(*kind as u32), Some(*kind));
        assert_eq!(kind.to_string(), kind.name());
        assert!(names.insert(kind.name()), "{kind} is the name of two");
    }
    let none = EventKind::ALL.len() as u32;
    assert!([none, 256, u32::MAX].map(EventKind::from_number).iter().all(Option::is_none));
}
