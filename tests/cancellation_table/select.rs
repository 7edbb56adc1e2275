//! Of `select!`, whose arms are in no way points themselves.

use super::*;
use event_channel::sync::{channel, oneshot, select};

pub const CALLS: &[Row] = &[
    (&["select!"], || {
        let (sender, receiver) = channel::bounded(1);
        let posts = Notification::new();
        sender.send(1).unwrap();
        let mut has_default = false;
        call(move || {
            has_default = !has_default;
            let taken = match has_default {
                true => select! { recv(&receiver) -> value => value.is_ok(), default => false },
                false => select! { wait(&posts) => false, recv(&receiver) -> value => value.is_ok() },
            };
            // Once: then it is there again.
            if taken? {
                sender.send(1).unwrap();
            }
            assert_eq!(sender.len(), 1, "nothing was taken otherwise");
            Ok(())
        })
    }),
    (
        &[
            "sync::select::recv",
            "sync::select::send",
            "sync::select::send_from",
            "sync::select::closed",
            "sync::select::wait",
            "sync::select::join",
            "sync::select::join_next",
            "sync::select::sleep",
            "sync::select::sleep_until",
            "sync::select::tick",
            "sync::select::wait_readable",
            "sync::select::wait_writable",
        ],
        || {
            let (sender, receiver) = channel::bounded(1);
            let (reply, _answer) = oneshot::channel::<u32>();
            let (posts, mut slot) = (Notification::new(), Some(1));
            let (mut set, mut ticks) = (JoinSet::new(), time::interval(LONG));
            set.spawn(|| ());
            let socket = UdpSocket::bind(HERE).unwrap();
            calls(move || {
                let mut child = child();
                // (What is sent is dropped with the arm, or in the slot again.)
                drop((select::recv(&receiver), select::send(&sender, 1), select::closed(&reply)));
                drop(select::send_from(&sender, &mut slot));
                drop((select::wait(&posts), select::join(&mut child), select::join_next(&mut set)));
                drop((select::sleep(LONG), select::sleep_until(Instant::now()), select::tick(&mut ticks)));
                drop((select::wait_readable(&socket), select::wait_writable(&socket)));
                assert_eq!((slot, sender.len(), set.len()), (Some(1), 0, 1));
            })
        },
    ),
];
