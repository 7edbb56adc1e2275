//! Steps over loopback. Every byte is checked.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::{task, time};

use crate::actor::{Actor, with};
use crate::random::mix;
use crate::tally;
use crate::watch::{check, fail, progress};

pub const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Bytes that tell where they are and whose, so that one lost, doubled or another's shows.
pub fn pattern(salt: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (mix(salt ^ (at >> 3)) >> (8 * (at & 7))) as u8).collect()
}

pub fn check_bytes(got: &[u8], salt: u64, length: usize) {
    tally::BYTES.add(got.len() as u64);
    check!(got.len() == length, "{} bytes instead of {length}", got.len());
    let wrong = got.iter().zip(pattern(salt, length)).position(|(got, sent)| *got != sent);
    check!(wrong.is_none(), "of {length} bytes number {wrong:?} is wrong");
}

/// The server of an epoch; ends when it is cancelled.
pub fn serve(listener: &TcpListener) {
    while let Ok((stream, _)) = listener.accept() {
        task::spawn(move || {
            let (mut stream, mut buffer) = (stream, [0; 4096]);
            // A client that was cancelled goes without a word, or in the middle of one.
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..length]).is_err() {
                    return;
                }
                progress();
            }
        });
    }
}

fn exchange(actor: &mut Actor, stream: &mut TcpStream, largest: u64) -> io::Result<()> {
    let (salt, length) = (actor.random.number(), actor.random.between(1, largest) as usize);
    stream.write_all(&pattern(salt, length))?;
    let mut got = vec![0; length];
    stream.read_exact(&mut got)?;
    check_bytes(&got, salt, length);
    Ok(())
}

pub fn echo(actor: &mut Actor) -> io::Result<()> {
    let mut stream = TcpStream::connect(actor.world.echo)?;
    for _ in 0..actor.random.between(1, 20) {
        exchange(actor, &mut stream, 3000)?;
        if actor.random.one_in(8) {
            std::thread::sleep(actor.random.milliseconds(0, 2));
        }
    }
    Ok(())
}

/// More than the kernel keeps, written by another task while this one reads.
pub fn both_ways(actor: &mut Actor) -> io::Result<()> {
    let stream = TcpStream::connect(actor.world.echo)?;
    let (salt, length) = (actor.random.number(), actor.random.between(1, 1 << 19) as usize);
    let theirs = stream.try_clone()?;
    let writes = task::spawn(move || (&theirs).write_all(&pattern(salt, length)));
    let mut got = vec![0; length];
    let read = (&stream).read_exact(&mut got);
    with(writes, read)??;
    check_bytes(&got, salt, length);
    Ok(())
}

/// A listener for one connection.
pub fn own_listener(actor: &mut Actor) -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(ANY))?;
    let address = listener.local_addr()?;
    let server = task::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got)?;
        stream.write_all(&got)
    });
    let (salt, length) = (actor.random.number(), actor.random.between(1, 20_000) as usize);
    let client = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&pattern(salt, length))?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got)?;
        check_bytes(&got, salt, length);
        Ok(())
    };
    let result = client();
    with(server, result)?
}

/// One at a time, there and back: the kernel may drop what nobody reads.
pub fn datagrams(actor: &mut Actor) -> io::Result<()> {
    let (mine, theirs) = (UdpSocket::bind(SocketAddr::from(ANY))?, UdpSocket::bind(SocketAddr::from(ANY))?);
    mine.connect(theirs.local_addr()?)?;
    theirs.connect(mine.local_addr()?)?;
    let count = actor.random.between(1, 20);
    let echoes = task::spawn(move || {
        let mut buffer = [0; 2000];
        (0..count).try_for_each(|_| {
            let length = theirs.recv(&mut buffer)?;
            theirs.send(&buffer[..length]).map(drop)
        })
    });
    let mut client = || {
        for _ in 0..count {
            let (salt, length) = (actor.random.number(), actor.random.between(1, 1500) as usize);
            mine.send(&pattern(salt, length))?;
            let mut got = [0; 2000];
            let received = mine.recv(&mut got)?;
            check_bytes(&got[..received], salt, length);
        }
        Ok(())
    };
    let result = client();
    with(echoes, result)?
}

/// Nothing comes, and the deadline is told once.
pub fn silence(actor: &mut Actor) -> io::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::from(ANY))?;
    let (span, blocks) = (actor.random.milliseconds(0, 15), actor.random.one_in(4));
    let start = Instant::now();
    let result = time::timeout(span, || {
        if blocks {
            tally::BLOCKS.add(1);
            std::thread::sleep(span);
        }
        socket.recv(&mut [0; 16])
    });
    match result {
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            check!(start.elapsed() >= span, "timed out after {:?} instead of {span:?}", start.elapsed());
            Ok(())
        }
        Err(error) => Err(error),
        Ok(length) => fail!("{length} bytes from nobody"),
    }
}

/// Something comes long before the deadline.
pub fn in_time(actor: &mut Actor) -> io::Result<()> {
    let mut stream = TcpStream::connect(actor.world.echo)?;
    time::timeout(Duration::from_secs(60), || {
        time::sleep(actor.random.milliseconds(0, 5));
        exchange(actor, &mut stream, 100)
    })
}
