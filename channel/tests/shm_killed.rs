//! A process that is killed after each of its instructions, in the middle of whatever it does to a queue in shared memory: the others go
//! on, what it had taken comes again, what it had posted was posted or was not.
//!
//! Three processes: one steps another one through its call (ptrace) and kills it, the third one owns the queue, posts and takes.

mod common;

use common::Random;
use common::shm::{all, poster, reader, record, until_gone};
use ec_channel::shm::{Poster, Queue, Reader, Record, Role, Shape};
use ec_channel::{EventChannel, Interest, Request};
use ec_test_support::{limit, skipped, this_test_again};
use ec_unkind as _;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the one who is killed does. (The second part of it begins when it has taken.)
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Deed {
    TakesAndReleases,
    TakesAndGivesBack,
    FindsNothing,
    Posts,
}

const DEEDS: [Deed; 4] = [Deed::TakesAndReleases, Deed::TakesAndGivesBack, Deed::FindsNothing, Deed::Posts];
const SHAPE: Shape = Shape { posters: 2, readers: 2, slots: 2, bytes: 16 };

/// How far it is: it takes or posts, it releases or gives back, it is done.
static BEFORE: u32 = 0;
static BETWEEN: u32 = 1;
static DONE: u32 = 2;

fn does(deed: Deed, path: &Path, progress: &AtomicU32) {
    let stream = UnixStream::connect(path).unwrap();
    let at = |n| progress.store(n, Ordering::SeqCst);
    let stop = || {
        // SAFETY: no pointer is passed.
        unsafe { libc::raise(libc::SIGSTOP) };
    };
    if deed == Deed::Posts {
        let mut poster = Poster::attach(stream).unwrap();
        stop();
        poster.try_post(&Record { bytes: b"theirs", ..record(7) }).unwrap();
        at(DONE);
        return stop();
    }
    let mut reader = Reader::attach(stream).unwrap();
    stop();
    let taken = reader.try_take().unwrap();
    at(BETWEEN);
    stop();
    match taken {
        Some(taken) if deed == Deed::TakesAndReleases => taken.release().unwrap(),
        taken => drop(taken),
    }
    at(DONE);
    stop();
}

/// The owner, on its side of the stream: told what is done next it prepares that, told that the one is dead it looks whether all is well.
fn owner(mut tester: UnixStream, readers: UnixListener, posters: UnixListener, progress: &AtomicU32) {
    let mut queue = Queue::create(SHAPE).unwrap();
    let (mut mine, mut lives) = (poster(&mut queue), reader(&mut queue));
    queue.listen(readers, Role::Reader).unwrap();
    queue.listen(posters, Role::Poster).unwrap();
    let (hears, told) = (lives.descriptor().unwrap(), mine.descriptor().unwrap());
    let channel = EventChannel::new().unwrap();
    let is_called = |by: &ec_channel::Source| {
        channel.post(Request::readiness(by.clone(), Interest::READABLE)).unwrap();
        channel.get_event().unwrap();
    };
    let mut said = [0];
    while tester.read(&mut said).unwrap() == 1 {
        let deed = DEEDS[usize::from(said[0])];
        if matches!(deed, Deed::TakesAndReleases | Deed::TakesAndGivesBack) {
            // It is full, and whoever posts waits for room.
            (0..2).for_each(|n| mine.try_post(&record(n)).unwrap());
            assert_eq!(mine.try_post(&record(2)).unwrap_err().kind(), ErrorKind::WouldBlock);
        } else {
            // Somebody waits who is to be called.
            assert!(lives.try_take().unwrap().is_none());
        }
        tester.write_all(&[0]).unwrap();
        while queue.members(Role::Reader) + queue.members(Role::Poster) < 3 {
            queue.wait(None).unwrap();
        }
        tester.read_exact(&mut said).unwrap();
        until_gone(&mut queue, 1);
        // Who is dead may have owed them that.
        is_called(&told);
        is_called(&hears);
        let progress = progress.load(Ordering::SeqCst);
        let found: Vec<_> = match deed {
            Deed::FindsNothing => Vec::new(),
            _ => std::iter::from_fn(|| lives.try_take().unwrap())
                .map(|taken| {
                    let found = (taken.token(), taken.redelivered());
                    taken.release().unwrap();
                    found
                })
                .collect(),
        };
        let stage = match (deed, &found[..]) {
            (Deed::TakesAndReleases, [(0, false), (1, false)]) if progress == BEFORE => 0,
            (Deed::TakesAndReleases, [(0, true), (1, false)]) if progress < DONE => 1,
            (Deed::TakesAndReleases, [(1, false)]) if progress >= BETWEEN => 2,
            (Deed::TakesAndGivesBack, [(0, false), (1, false)]) if progress == BEFORE => 0,
            (Deed::TakesAndGivesBack, [(0, true), (1, false)]) => 1 + u8::from(progress == DONE),
            (Deed::FindsNothing, []) => 0,
            (Deed::Posts, []) if progress == BEFORE => 0,
            (Deed::Posts, [(7, false)]) => 1 + u8::from(progress == DONE),
            other => panic!("{other:?}, killed in stage {progress}"),
        };
        // All goes on as before.
        for n in 10..13 {
            assert!(lives.try_take().unwrap().is_none());
            mine.try_post(&record(n)).unwrap();
            is_called(&hears);
            assert_eq!(all(&mut lives), [n]);
        }
        assert_eq!(queue.members(Role::Reader) + queue.members(Role::Poster), 2);
        tester.write_all(&[stage]).unwrap();
    }
}

/// What a process under ptrace does next; `None`: it has ended.
fn stopped(pid: i32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: a live int.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    libc::WIFSTOPPED(status).then(|| libc::WSTOPSIG(status))
}

/// An address or a signal, for ptrace(2).
const NOTHING: *mut libc::c_void = std::ptr::null_mut();

struct Tester<'a> {
    owner: UnixStream,
    paths: [&'a Path; 2],
    progress: &'a AtomicU32,
}

/// What has come of one that was killed.
struct Killed {
    steps: u64,
    stage: u8,
}

impl Tester<'_> {
    /// One is killed after so many instructions of a part of what it does, or at the end of that part. An error: it cannot be stepped here.
    fn kill_after(&mut self, deed: Deed, part: u32, steps: u64) -> Result<Killed, String> {
        self.owner.write_all(&[deed as u8]).unwrap();
        self.owner.read_exact(&mut [0]).unwrap();
        self.progress.store(BEFORE, Ordering::SeqCst);
        // SAFETY: the child has no other thread's locks to wait for: nobody else runs in this process but who waits for the test.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: no pointer is passed.
            let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, NOTHING, NOTHING) } == 0;
            if traced {
                does(deed, self.paths[usize::from(deed == Deed::Posts)], self.progress);
            }
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!traced)) };
        }
        if stopped(child) != Some(libc::SIGSTOP) {
            return Err("ptrace(2) is forbidden here".to_owned());
        }
        for _ in 0..part {
            // SAFETY: a child that is stopped.
            assert_eq!(unsafe { libc::ptrace(libc::PTRACE_CONT, child, NOTHING, NOTHING) }, 0);
            assert_eq!(stopped(child), Some(libc::SIGSTOP));
        }
        let mut made = 0;
        while made < steps {
            // SAFETY: a child that is stopped.
            if unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, child, NOTHING, NOTHING) } != 0 {
                let why = format!("no single steps: {}", std::io::Error::last_os_error());
                // SAFETY: a child of ours.
                unsafe { libc::kill(child, libc::SIGKILL) };
                while stopped(child).is_some() {}
                return Err(why);
            }
            match stopped(child) {
                Some(libc::SIGTRAP) => made += 1,
                Some(libc::SIGSTOP) => break,
                other => panic!("stopped by {other:?} after {made} steps"),
            }
        }
        // SAFETY: a child of ours.
        unsafe { libc::kill(child, libc::SIGKILL) };
        while stopped(child).is_some() {}
        self.owner.write_all(&[0]).unwrap();
        let mut stage = [0];
        self.owner.read_exact(&mut stage).expect("the owner has found it well");
        Ok(Killed { steps: made, stage: stage[0] })
    }

    /// After each instruction; where they are too many, after one of each run of so many.
    fn kill_everywhere(&mut self, deed: Deed, part: u32, stages: [usize; 2]) -> Result<(), String> {
        let all = self.kill_after(deed, part, u64::MAX)?;
        let (mut random, mut seen) = (Random(all.steps), [0; 3]);
        let most = std::env::var("EC_SHM_KILLED").ok().map(|n| n.parse().expect("a number"));
        let most = most.unwrap_or(if cfg!(debug_assertions) { 12 } else { 800 });
        let killed = all.steps.min(most);
        for n in 1..=killed {
            let (first, last) = ((n - 1) * all.steps / killed, n * all.steps / killed);
            let steps = first + 1 + random.below(last - first);
            seen[usize::from(self.kill_after(deed, part, steps)?.stage)] += 1;
        }
        let of = ["begins", "has taken"][part as usize];
        let words = format!(
            "{deed:?}, from where it {of}: of {} instructions killed after {killed}, with what came of it: {seen:?}\n",
            all.steps
        );
        // Past the test harness.
        // SAFETY: the pointer and length are those of a live string.
        unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
        assert_eq!(usize::from(all.stage), stages[1], "{deed:?}: it has done all");
        let all_seen = seen[stages[0]..stages[1]].iter().all(|n| *n > 0);
        assert!(all_seen, "{deed:?}: not each stage was met: {seen:?}");
        Ok(())
    }
}

#[test]
fn who_is_killed_after_any_instruction_holds_up_nobody_and_loses_nothing() {
    let name = "who_is_killed_after_any_instruction_holds_up_nobody_and_loses_nothing";
    // (In a process that has never had a queue: children of one that has are refused. What it says is said here.)
    if let Some(mut again) = this_test_again(name) {
        return limit(300, || assert!(again.status().unwrap().success()));
    }
    limit(300, || {
        let folder = std::env::temp_dir().join(format!("ec-shm-killed-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let _gone = common::AtEnd(|| _ = std::fs::remove_dir_all(&folder));
        let (readers, posters) = (folder.join("readers"), folder.join("posters"));
        let listeners = (UnixListener::bind(&readers).unwrap(), UnixListener::bind(&posters).unwrap());
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new page, all zero, which is never unmapped: an atomic.
        let progress: &AtomicU32 = unsafe {
            let page = libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0);
            assert_ne!(page, libc::MAP_FAILED);
            AtomicU32::from_ptr(page.cast())
        };
        let (mine, theirs) = UnixStream::pair().unwrap();
        // SAFETY: as of the one who is killed.
        let owns = unsafe { libc::fork() };
        if owns == 0 {
            // It goes with this one, if that fails.
            // SAFETY: no pointer is passed.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            drop(mine);
            let (readers, posters) = listeners;
            let well = std::panic::catch_unwind(|| owner(theirs, readers, posters, progress)).is_ok();
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!well)) };
        }
        drop((theirs, listeners));
        let mut tester = Tester { owner: mine, paths: [&readers, &posters], progress };
        // What has come of it, from before to after: of a take that is 0 and 1, of a release 1 and 2.
        let parts = [
            (Deed::TakesAndReleases, 0, [0, 1]),
            (Deed::TakesAndReleases, 1, [1, 2]),
            (Deed::TakesAndGivesBack, 1, [1, 2]),
            (Deed::FindsNothing, 0, [0, 0]),
            (Deed::Posts, 0, [0, 2]),
        ];
        for (deed, part, stages) in parts {
            if let Err(why) = tester.kill_everywhere(deed, part, stages) {
                // (The owner waits for one who does not come.)
                // SAFETY: a child of ours, of which nothing more is wanted.
                unsafe {
                    libc::kill(owns, libc::SIGKILL);
                    libc::waitpid(owns, std::ptr::null_mut(), 0);
                }
                return skipped(&why);
            }
        }
        drop(tester);
        let mut status = 0;
        // SAFETY: a live int.
        assert_eq!(unsafe { libc::waitpid(owns, &mut status, 0) }, owns);
        assert_eq!(status, 0);
    });
}
