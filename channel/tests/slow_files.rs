//! Files whose reads wait for others, although they have positions: of a file system whose server takes its time, and of `/dev/kmsg`. Neither
//! who posts nor who gets events is held up by them.

mod common;

use common::{drivers, room};
use ec_channel::{Driver, EventChannel, Pages, Request, Source};
use ec_test_support::{limit, skipped};
use ec_unkind as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// What the file has.
const CONTENT: &[u8] = b"0123456789";
/// The file's number; that of the folder is 1.
const FILE: u64 = 2;

/// Questions of the kernel's, by their numbers in `linux/fuse.h`.
mod ask {
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const SETATTR: u32 = 4;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const WRITE: u32 = 16;
    pub const RELEASE: u32 = 18;
    pub const FLUSH: u32 = 25;
    pub const INIT: u32 = 26;
    pub const INTERRUPT: u32 = 36;
    pub const POLL: u32 = 40;
    pub const BATCH_FORGET: u32 = 42;
}

/// The server's answers about the file pass through here.
#[derive(Default)]
struct Gate(Mutex<Held>, Condvar);

#[derive(Default)]
struct Held {
    /// It was closed then, and is.
    closed: Option<Instant>,
    answers: Vec<Vec<u8>>,
    /// It was closed for so long that somebody is taken to wait for an answer who must not.
    gave_up: bool,
    is_over: bool,
}

/// A process that waits for an answer cannot even be ended. So the gate opens by itself.
const PATIENCE: Duration = Duration::from_secs(10);

impl Gate {
    fn close(&self) {
        self.0.lock().unwrap().closed = Some(Instant::now());
    }

    /// Returns when somebody waits for an answer. False: nobody has asked.
    fn is_asked(&self) -> bool {
        let held = self.0.lock().unwrap();
        let waits = |held: &mut Held| held.answers.is_empty() && held.closed.is_some();
        !self.1.wait_while(held, waits).unwrap().answers.is_empty()
    }

    /// False: it had to open by itself.
    fn open(&self, server: &File) -> bool {
        let mut held = self.0.lock().unwrap();
        held.let_out(server);
        !held.gave_up
    }

    /// Opens it by itself, if it is time, until all is over.
    fn watch(&self, server: &File) {
        let mut held = self.0.lock().unwrap();
        while !held.is_over {
            held = self.1.wait_timeout(held, Duration::from_millis(100)).unwrap().0;
            if held.closed.is_some_and(|closed| closed.elapsed() > PATIENCE) {
                held.gave_up = true;
                held.let_out(server);
                self.1.notify_all();
            }
        }
    }

    fn is_over(&self) {
        self.0.lock().unwrap().is_over = true;
        self.1.notify_all();
    }

    fn answer(&self, mut server: &File, answer: Vec<u8>, may_be_held: bool) {
        let mut held = self.0.lock().unwrap();
        if may_be_held && held.closed.is_some() {
            held.answers.push(answer);
            return self.1.notify_all();
        }
        // (Who has asked may have given up.)
        let _ = server.write(&answer);
    }
}

impl Held {
    fn let_out(&mut self, mut server: &File) {
        self.closed = None;
        for answer in self.answers.drain(..) {
            // (Who has asked may have given up.)
            let _ = server.write(&answer);
        }
    }
}

/// `struct fuse_attr`.
fn attributes(node: u64) -> Vec<u8> {
    let size = if node == FILE { CONTENT.len() as u64 } else { 0 };
    let mode = if node == FILE { libc::S_IFREG | 0o666 } else { libc::S_IFDIR | 0o755 };
    let long = [node, size, 1, 0, 0, 0].map(u64::to_le_bytes);
    let short = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0].map(u32::to_le_bytes);
    [long.concat(), short.concat()].concat()
}

/// A file system of one file, which answers as the gate lets it, until it is unmounted.
fn serve(server: &File, gate: &Gate) {
    let mut asked = vec![0; 1 << 17];
    loop {
        let n = match (&*server).read(&mut asked) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let number = |at: usize| u32::from_le_bytes(asked[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_le_bytes(asked[at..at + 8].try_into().unwrap());
        assert!(n >= 40, "a question of {n} bytes");
        let (what, unique, node) = (number(4), &asked[8..16], long(16));
        let answer = match what {
            // Version 7.31; flags, bounds.
            ask::INIT => {
                let first = [7u32, 31, 65536, 0].map(u32::to_le_bytes).concat();
                let second = [[12u16, 9].map(u16::to_le_bytes).concat(), [0, 0, 1, 0, 1, 0, 0, 0].to_vec()];
                Ok([first, second.concat(), vec![0; 36]].concat())
            }
            // (Nothing is remembered for any time.)
            ask::LOOKUP => Ok([FILE.to_le_bytes().to_vec(), vec![0; 32], attributes(FILE)].concat()),
            ask::GETATTR | ask::SETATTR => Ok([vec![0; 16], attributes(node)].concat()),
            ask::OPEN => Ok(vec![0; 16]),
            ask::READ => {
                let at = (long(48) as usize).min(CONTENT.len());
                Ok(CONTENT[at..].to_vec())
            }
            ask::WRITE => Ok([number(56), 0].map(u32::to_le_bytes).concat()),
            // It is always ready.
            ask::POLL => Ok([libc::POLLIN as u32 | libc::POLLOUT as u32, 0].map(u32::to_le_bytes).concat()),
            ask::RELEASE | ask::FLUSH => Ok(Vec::new()),
            ask::FORGET | ask::BATCH_FORGET | ask::INTERRUPT => continue,
            _ => Err(-libc::ENOSYS),
        };
        let (error, body) = answer.map_or_else(|error| (error, Vec::new()), |body| (0, body));
        let head = [(16 + body.len() as u32).to_le_bytes(), error.to_le_bytes()].concat();
        let held = [ask::GETATTR, ask::READ, ask::WRITE, ask::POLL];
        let may_be_held = node == FILE && held.contains(&what);
        gate.answer(server, [head, unique.to_vec(), body].concat(), may_be_held);
    }
}

/// A folder where the file system is mounted, for this thread alone.
struct Mounted(common::Scratch);

impl Mounted {
    fn new(server: &File) -> io::Result<Self> {
        let folder = common::Scratch::quick();
        let said = |result: i32| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
        let name = |text: String| std::ffi::CString::new(text).unwrap();
        let options = name(format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd()));
        let place = name(folder.to_str().unwrap().to_owned());
        // SAFETY: strings that end.
        unsafe {
            said(libc::unshare(libc::CLONE_NEWNS))?;
            let flags = libc::MS_REC | libc::MS_PRIVATE;
            said(libc::mount(c"none".as_ptr(), c"/".as_ptr(), std::ptr::null(), flags, std::ptr::null()))?;
            let (what, kind) = (c"slow".as_ptr(), c"fuse".as_ptr());
            said(libc::mount(what, place.as_ptr(), kind, 0, options.as_ptr().cast()))?;
        }
        Ok(Mounted(folder))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let place = std::ffi::CString::new(self.0.to_str().unwrap()).unwrap();
        // SAFETY: a string that ends.
        unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
    }
}

fn in_pipe(bytes: &[u8]) -> OwnedFd {
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(bytes).unwrap();
    reader.into()
}

/// A pipe, which stays open and has room for all that comes here.
fn output() -> Source {
    static PIPE: OnceLock<(io::PipeReader, Arc<io::PipeWriter>)> = OnceLock::new();
    let (_, writer) =
        PIPE.get_or_init(|| io::pipe().map(|(reader, writer)| (reader, Arc::new(writer))).unwrap());
    writer.clone().into()
}

/// Which request, and what it gives.
type Kind = (&'static str, fn(&Source) -> Request, usize);

const READS: [Kind; 7] = [
    ("read_at", |file| Request::read_at(file.clone(), room(100), 0), 10),
    ("read_at at the end", |file| Request::read_at(file.clone(), room(100), 10), 0),
    ("read_at_vectored", |file| Request::read_at_vectored(file.clone(), vec![room(4), room(9)], 2), 8),
    ("read_direct", |file| Request::read_direct(file.clone(), Pages::with_capacity(4096), 0), 10),
    ("read", |file| Request::read(file.clone(), room(100)), 10),
    ("splice_at", |file| Request::splice_at(file.clone(), Some(3), output(), None, 100), 7),
    ("pump", |file| Request::pump(file.clone(), output()), 10),
];

const WRITES: [Kind; 5] = [
    ("write_at", |file| Request::write_at(file.clone(), vec![1; 4], 0), 4),
    ("write_at_vectored", |file| Request::write_at_vectored(file.clone(), vec![vec![1; 4]], 0), 4),
    ("write_direct", |file| Request::write_direct(file.clone(), Pages::with_capacity(512).filled(), 0), 512),
    ("write", |file| Request::write(file.clone(), vec![1; 4]), 4),
    ("pump", |file| Request::pump(in_pipe(b"four"), file.clone()), 4),
];

trait Filled {
    fn filled(self) -> Self;
}

impl Filled for Pages {
    fn filled(mut self) -> Self {
        self.resize(512);
        self
    }
}

/// The server holds its answers until others have had their events.
fn is_held_up_by_nobody(
    driver: Driver,
    (name, make, gives): Kind,
    file: &Source,
    server: &File,
    gate: &Gate,
) {
    let channel = EventChannel::builder().driver(driver).build().unwrap();
    gate.close();
    channel.post(make(file).token(1)).unwrap();
    if driver != Driver::Direct {
        // (The port has to be driven for it.)
        channel.post(Request::timer(Duration::from_millis(1)).token(2)).unwrap();
        assert_eq!(channel.get_event().unwrap().token(), 2, "{name} on {driver}");
        assert!(gate.is_asked(), "{name} on {driver}: nobody has asked, or who must not has waited");
    }
    assert!(gate.open(server), "{name} on {driver}: somebody has waited for the server");
    let event = channel.get_event().unwrap();
    let result = event.result().unwrap_or_else(|error| panic!("{name} on {driver}: {error}"));
    assert_eq!((event.token(), result), (1, gives), "{name} on {driver}");
}

#[test]
fn a_slow_file_system_holds_up_neither_who_posts_nor_who_gets() {
    limit(60, || {
        let opened = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let server = match opened {
            Ok(server) => server,
            Err(error) => return skipped(&format!("/dev/fuse: {error}")),
        };
        let mounted = match Mounted::new(&server) {
            Ok(mounted) => mounted,
            Err(error) => return skipped(&format!("no file system is to be mounted here: {error}")),
        };
        let gate = Gate::default();
        std::thread::scope(|s| {
            s.spawn(|| {
                serve(&server, &gate);
                gate.is_over();
            });
            s.spawn(|| gate.watch(&server));
            let path = mounted.0.join("file");
            let open = |how: &mut OpenOptions, flags| how.custom_flags(flags).open(&path).unwrap();
            for driver in drivers().into_iter().chain([Driver::Direct]) {
                for flags in [0, libc::O_DIRECT] {
                    for kind in READS {
                        let file = open(OpenOptions::new().read(true), flags).into();
                        is_held_up_by_nobody(driver, kind, &file, &server, &gate);
                    }
                    for kind in WRITES {
                        let file = open(OpenOptions::new().write(true), flags).into();
                        is_held_up_by_nobody(driver, kind, &file, &server, &gate);
                    }
                }
            }
            // (Then the server ends.)
            drop(mounted);
        });
    });
}

/// The number of a record of the kernel's log.
fn number(record: &[u8]) -> &[u8] {
    record.split(|byte| *byte == b',').nth(1).unwrap()
}

#[test]
fn a_read_at_a_position_of_a_device_waits_and_ends_with_its_limit_and_a_post_takes_nothing() {
    limit(30, || {
        let opened = || OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
        let mut log = match opened() {
            Ok(log) => log,
            Err(error) => return skipped(&format!("/dev/kmsg: {error}")),
        };
        for driver in drivers().into_iter().chain([Driver::Direct]) {
            eprintln!("on {driver}");
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            // The first record that there is.
            let mut first = vec![0; 8192];
            log.seek(SeekFrom::Start(0)).unwrap();
            let n = match log.read(&mut first) {
                Ok(n) => n,
                Err(error) => return skipped(&format!("nothing in the kernel's log: {error}")),
            };
            channel.post(Request::read_at(opened().unwrap(), room(8192), 0)).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(number(event.buffer()), number(&first[..n]), "on {driver}");

            // Behind the last one. (Each that comes meanwhile is had.)
            let end = Arc::new(File::open("/dev/kmsg").unwrap());
            (&*end).seek(SeekFrom::End(0)).unwrap();
            loop {
                let read = Request::read_at(end.clone(), room(8192), 0).within(Duration::from_millis(20));
                channel.post(read).unwrap();
                let event = channel.get_event().unwrap();
                match event.result() {
                    Ok(_) => {}
                    Err(_) if event.is_timed_out() => break,
                    Err(error) => panic!("{error} on {driver}"),
                }
            }
        }
    });
}
