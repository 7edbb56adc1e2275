//! A process that has a place in a queue in shared memory and writes into the memory whatever comes to its mind, rings bells, sends
//! nonsense to the owner: the others' calls end, with errors at the worst, and what they get is no longer than it can be.

mod common;

use common::Random;
use common::shm::{poster, reader};
use ec_channel::shm::{Poster, Queue, Reader, Record, Role, Shape};
use ec_test_support::{limit, this_test_again};
use ec_unkind as _;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SHAPE: Shape = Shape { posters: 3, readers: 3, slots: 8, bytes: 40 };
/// In this shape, in words: behind the sleepers', the lanes' and the slots'.
const RECORDS_AT: usize = 8 + 3 * 8 + 3 * 8;

/// So long, in seconds: `EC_SHM_SCRIBBLE`.
fn how_long() -> Duration {
    let wanted = std::env::var("EC_SHM_SCRIBBLE").ok().map(|n| n.parse().expect("seconds"));
    Duration::from_secs(wanted.unwrap_or(2))
}

/// Where the queue's memory is mapped in this process.
fn mapped() -> &'static [AtomicU64] {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("memfd:ec-shm")).expect("it is mapped");
    let (from, rest) = line.split_once('-').unwrap();
    let (to, _) = rest.split_once(' ').unwrap();
    let at = |hex| usize::from_str_radix(hex, 16).unwrap();
    let (from, to) = (at(from), at(to));
    // SAFETY: shared memory, mapped as long as the caller has its place; an atomic may have any value.
    unsafe { std::slice::from_raw_parts(from as *const AtomicU64, (to - from) / 8) }
}

/// The sockets of this process, but for the standard streams.
fn sockets() -> Vec<RawFd> {
    ec_test_support::descriptors_of(&["socket:"]).into_iter().filter(|fd| *fd > 2).collect()
}

fn scribble(memory: &[AtomicU64], random: &mut Random) {
    for _ in 0..random.below(200) {
        // The slots' words are at the beginning, then come the records: each has its length in its third word.
        let among = if random.below(3) == 0 { memory.len() } else { RECORDS_AT };
        let at = match random.below(4) {
            0 => &memory[RECORDS_AT + 8 * random.below(SHAPE.slots as u64 * 3) as usize + 2],
            _ => &memory[random.below(among as u64) as usize],
        };
        let old = at.load(Ordering::Relaxed);
        let bits = random.below(u64::MAX);
        let value = match random.below(6) {
            0 => bits,
            // As from the one place or the other: another state, another member, another lap, what somebody else has there.
            1 => old & !7 | bits & 7,
            2 => old ^ (bits & 0x3f) << 3,
            3 => old.wrapping_add((bits & 7) << 21).wrapping_sub(3 << 21),
            4 => memory[random.below(among as u64) as usize].load(Ordering::Relaxed),
            _ => bits & 0xff,
        };
        at.store(value, Ordering::Relaxed);
    }
}

fn send_nonsense(random: &mut Random) {
    let sockets = sockets();
    for _ in 0..random.below(5) {
        let to = sockets[random.below(sockets.len() as u64) as usize];
        let mut bytes = [0u8; 30];
        bytes.iter_mut().for_each(|byte| *byte = random.below(6) as u8 * (random.below(8) == 0) as u8);
        // (A message of no bytes looks like the end. They are rare.)
        let length = [24, 24, 24, 1, 1, 3, 30, 1][random.below(8) as usize].min(random.below(3000)) as usize;
        // SAFETY: live bytes.
        unsafe { libc::send(to, bytes.as_ptr().cast(), length, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    }
}

/// The one that means ill, until its standard input ends.
fn means_ill(folder: &str) {
    let mut random = Random(u64::from(std::process::id()) << 20 | 1);
    // SAFETY: no pointer is passed.
    let ended = || unsafe {
        let mut ask = libc::pollfd { fd: 0, events: 0, revents: 0 };
        libc::poll(&mut ask, 1, 0) != 0
    };
    while !ended() {
        let posts = random.below(2) == 0;
        let path = format!("{folder}/{}", if posts { "posters" } else { "readers" });
        let Ok(stream) = UnixStream::connect(path) else {
            std::thread::yield_now();
            continue;
        };
        let (mut poster, mut reader) = (None, None);
        // (The memory may be so that there is no end to post to.)
        if posts {
            poster = Poster::attach(&stream).ok()
        } else {
            reader = Reader::attach(&stream).ok()
        };
        if poster.is_none() && reader.is_none() {
            continue;
        }
        let mut taken = Vec::new();
        let memory = mapped();
        for _ in 0..random.below(300) {
            if random.below(2) == 0 {
                scribble(memory, &mut random);
            }
            if random.below(20) == 0 {
                send_nonsense(&mut random);
            }
            // What others expect of it, now and then.
            if let Some(poster) = &mut poster {
                let bytes = [3; 40];
                let descriptor = (random.below(4) == 0).then(|| stream.as_fd());
                let _ = poster.try_post(&Record { bytes: &bytes, descriptor, ..Record::default() });
            }
            if let Some(reader) = &mut reader {
                taken.extend(reader.try_take().ok().flatten());
                if random.below(4) == 0 {
                    taken.pop();
                }
            }
            if random.below(10) == 0 {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }
}

/// How often each error of each call came.
type Came = Mutex<BTreeMap<String, u64>>;

fn note<T>(came: &Came, whose: &str, result: &std::io::Result<T>) {
    let what = match result {
        Ok(_) => whose.to_owned(),
        Err(e) => {
            let allowed = [
                ErrorKind::InvalidData,
                ErrorKind::TimedOut,
                ErrorKind::WouldBlock,
                ErrorKind::ConnectionAborted,
                ErrorKind::Other,
            ];
            assert!(allowed.contains(&e.kind()), "{whose}: {e}");
            format!("{whose}: {:?}", e.kind())
        }
    };
    *came.lock().unwrap().entry(what).or_default() += 1;
}

/// A queue of its own, for a moment: what is spoilt stays so.
fn round(folder: &Path, came: &Came, most: &AtomicUsize) {
    let mut queue = Queue::create(SHAPE).unwrap();
    let posters = [poster(&mut queue), poster(&mut queue)];
    let readers = [reader(&mut queue), reader(&mut queue)];
    for (name, role) in [("posters", Role::Poster), ("readers", Role::Reader)] {
        let _ = std::fs::remove_file(folder.join(name));
        queue.listen(UnixListener::bind(folder.join(name)).unwrap(), role).unwrap();
    }
    let (over, soon) = (AtomicBool::new(false), Duration::from_millis(2));
    let ends = Instant::now() + Duration::from_millis(100);
    std::thread::scope(|s| {
        s.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                note(came, "tend", &queue.wait(Some(soon)));
                most.fetch_max(descriptors(), Ordering::SeqCst);
            }
        });
        let posters = posters.map(|mut poster| {
            s.spawn(move || {
                let bytes = [7; 40];
                for n in 0.. {
                    let descriptor = (n % 16 == 0).then_some(STDERR);
                    let record = Record {
                        token: n,
                        bytes: &bytes[..n as usize % 41],
                        descriptor,
                        ..Record::default()
                    };
                    note(came, "post", &poster.post_timeout(&record, soon));
                    if Instant::now() > ends {
                        break;
                    }
                }
            })
        });
        let readers = readers.map(|mut reader| {
            s.spawn(move || {
                for n in 0.. {
                    let taken = reader.take_timeout(soon);
                    note(came, "take", &taken);
                    if let Ok(Some(mut taken)) = taken {
                        assert!(taken.bytes().len() <= SHAPE.bytes);
                        let _ = (taken.result(), taken.take_descriptor());
                        if n % 5 != 0 {
                            note(came, "release", &taken.release());
                        }
                    }
                    if Instant::now() > ends {
                        break;
                    }
                }
            })
        });
        let ended: Vec<_> = posters.into_iter().chain(readers).map(|member| member.join()).collect();
        over.store(true, Ordering::SeqCst);
        ended.into_iter().for_each(|member| member.unwrap());
    });
}

#[test]
fn a_process_that_means_ill_costs_errors_and_nothing_else() {
    let name = "a_process_that_means_ill_costs_errors_and_nothing_else";
    let Some(mut again) = this_test_again(name) else {
        return means_ill(&std::env::var("EC_SHM_FOLDER").unwrap());
    };
    let long = how_long();
    limit(60 + long.as_secs(), || {
        let folder = std::env::temp_dir().join(format!("ec-shm-hostile-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let _gone = common::AtEnd(|| _ = std::fs::remove_dir_all(&folder));
        again.env("EC_SHM_FOLDER", &folder).stdin(Stdio::piped());
        let mut child = again.stdout(Stdio::null()).spawn().unwrap();
        let (before, most, came) = (descriptors(), AtomicUsize::new(0), Came::default());
        let ends = Instant::now() + long;
        while Instant::now() < ends {
            round(&folder, &came, &most);
        }
        drop(child.stdin.take());
        let status = child.wait().unwrap();
        let (came, most) = (came.into_inner().unwrap(), most.into_inner());
        eprintln!("{came:?}; at most {most} descriptors, {before} of them before");
        assert!(status.success(), "{status}");
        assert!(came["post"] > 0 && came["take"] > 0 && came["release"] > 0);
        // It has been noticed.
        assert!(came.keys().any(|what| what.ends_with("InvalidData")), "it has done nothing");
        // Of records that are not released: as many as there can be, kept and taken. Of members: their bells, lines.
        let members = SHAPE.posters + SHAPE.readers;
        assert!(
            most <= before + 2 * SHAPE.posters * (SHAPE.slots + 1) + members * (members + 8),
            "{most} of {before}"
        );
    });
}

// SAFETY: it is open as long as the program runs.
const STDERR: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(2) };

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
