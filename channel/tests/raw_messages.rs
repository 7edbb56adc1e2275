//! The operations beneath: what receives into a pool, sends without a copy, shuts down, and messages with descriptors, on the stack of whoever
//! waits.

mod common;

use common::messages::Pipe;
use common::{each_driver, serve};
use ec_channel::raw::{Control, Op, Operation, RecvMsg, RecvPooled, SendMsg, SendZeroCopy, Shutdown};
use ec_channel::{Ancillary, BufferPool, Completion, Completions, EventChannel, Wait};
use ec_test_support::limit;
use ec_unkind as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// Carries an operation out, as a pool does. Gives what it came to, and the operation.
fn carried_out<T: Operation>(channel: &EventChannel, what: T, done: impl FnOnce(&mut Op<T>)) -> i32 {
    let mut woken = false;
    /// # Safety
    /// The word is the address of a flag, which lives.
    unsafe fn wake(word: usize) {
        // SAFETY: by contract.
        unsafe { (word as *mut bool).write_volatile(true) };
    }
    let mut op = Op::new(what, wake, (&raw mut woken) as usize);
    let serving = serve(channel);
    // SAFETY: it stays where it is until it is complete, and so does what it points to.
    unsafe { channel.submit_raw(0, op.raw()) };
    let mut out = Completions::new();
    // SAFETY: a flag of this frame's.
    while !unsafe { (&raw const woken).read_volatile() } {
        serving.drive(0, Wait::Forever, &mut out).unwrap();
        for completion in out.drain() {
            match completion {
                Completion::Raw(raw) => raw.deliver(),
                Completion::Call(_) => panic!("nobody has posted an event"),
            }
        }
    }
    done(&mut op);
    op.result()
}

#[test]
fn a_message_with_a_descriptor_goes_from_stack_to_stack() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = UnixStream::pair().unwrap();
            let (mut pipe, mut bytes, mut room) = (Pipe::new(), *b"for you", [0; 16]);
            let message = |bytes: &mut [u8], part: &mut libc::iovec, control: &mut Control| {
                *part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
                let (at, len) = control.parts();
                // SAFETY: for this C structure all zeroes is a value.
                let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
                (header.msg_iov, header.msg_iovlen) = (part, 1);
                (header.msg_control, header.msg_controllen) = (at, len as _);
                header
            };
            let mut part = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
            let ancillary = Ancillary::new().descriptor(pipe.writer());
            let mut control = Control::of(&ancillary);
            let header = message(&mut bytes, &mut part, &mut control);
            let send = SendMsg { fd: far.as_raw_fd(), msg: &raw const header, flags: 0 };
            assert_eq!(carried_out(&channel, send, |_| ()), 7);
            drop(ancillary);

            let mut control = Control::room(2);
            let mut header = message(&mut room, &mut part, &mut control);
            let flags = libc::MSG_CMSG_CLOEXEC;
            let receive = RecvMsg { fd: near.as_raw_fd(), msg: &raw mut header, flags };
            assert_eq!(carried_out(&channel, receive, |_| ()), 7);
            // SAFETY: a message has come, and nobody else takes its descriptors.
            let mut received = unsafe { control.take(header.msg_controllen as usize, header.msg_flags) };
            assert!(&room[..7] == b"for you" && !received.is_truncated && received.credentials.is_none());
            assert!(received.descriptors.drain(..).all(|it| pipe.is_reached_by(it)));
            assert!(pipe.is_left());
        })
    });
}

#[test]
fn a_pool_s_buffer_is_taken_out_of_the_operation() {
    limit(30, || {
        each_driver(|channel| {
            let (near, mut far) = UnixStream::pair().unwrap();
            let pool = BufferPool::new(1, 4);
            far.write_all(b"some bytes").unwrap();
            let mut taken = None;
            let receive = || RecvPooled::new(near.as_raw_fd(), 0, &pool);
            let take = |op: &mut Op<RecvPooled>| taken = op.operation().take_buffer();
            assert_eq!(carried_out(&channel, receive(), take), 4);
            assert_eq!((taken.as_deref(), pool.available()), (Some(&b"some"[..]), 0));
            // Another one waits until it is back.
            std::thread::scope(|scope| {
                scope.spawn(|| drop(taken));
                let mut taken = None;
                let take = |op: &mut Op<RecvPooled>| taken = op.operation().take_buffer();
                assert_eq!(carried_out(&channel, receive(), take), 4);
                assert_eq!(taken.as_deref(), Some(&b" byt"[..]));
            });
            // What nobody takes out goes back with the operation.
            assert_eq!(carried_out(&channel, receive(), |_| ()), 2);
            assert_eq!(pool.available(), 1);
        })
    });
}

#[test]
fn what_is_sent_without_a_copy_and_then_shut_down_arrives() {
    limit(30, || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let bytes = vec![7; 5000];
            let send = SendZeroCopy::new(near.as_raw_fd(), bytes.as_ptr(), bytes.len(), 0);
            assert_eq!(carried_out(&channel, send, |_| ()), 5000);
            let shut = || Shutdown::new(near.as_raw_fd(), libc::SHUT_WR);
            assert_eq!(carried_out(&channel, shut(), |_| ()), 0);
            let mut all = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
            assert!(all == bytes);
            drop(near);
            assert_eq!(carried_out(&channel, Shutdown::new(-1, libc::SHUT_WR), |_| ()), -libc::EBADF);
        })
    });
}
