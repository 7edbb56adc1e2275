//! Of channels. What a point was cancelled at is there still, and the next call has it.

use super::*;
use event_channel::sync::{channel, mpsc, oneshot};

/// Once whoever calls this has begun to wait (or a little later, or sooner: it is right in each case).
fn soon(f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    task::spawn(|| {
        time::sleep(SHORT);
        f();
    })
}

/// For a point of which std's result is the inner one.
fn inner<T, E: std::fmt::Debug>(result: io::Result<Result<T, E>>) -> io::Result<T> {
    result.map(Result::unwrap)
}

/// What both ends of a `channel` have, of one that has one place, and a value there.
macro_rules! look {
    ($end:expr) => {{
        let end = $end;
        assert!(end.is_full() && !end.is_empty() && !end.is_closed() && end.same_channel(&end.clone()));
        assert_eq!((end.len(), end.capacity(), end.name()), (1, Some(1), Some("named")));
    }};
}

pub const CALLS: &[Row] = &[
    (&["sync::channel::Sender::send"], || {
        let (sender, receiver) = channel::bounded(1);
        call(move || {
            sender.send(1).inspect_err(|_| assert!(receiver.is_empty()))?;
            assert_eq!(receiver.try_recv(), Ok(1));
            Ok(())
        })
    }),
    (&["sync::channel::Sender::send_timeout"], || {
        let (sender, receiver) = channel::bounded(1);
        call(move || {
            sender.send_timeout(1, LONG).inspect_err(|_| assert!(receiver.is_empty()))?;
            assert_eq!(receiver.try_recv(), Ok(1));
            Ok(())
        })
    }),
    (&["sync::channel::Receiver::recv"], || {
        let (sender, receiver) = channel::unbounded();
        sender.send(1).unwrap();
        call(move || Ok(receiver.recv().map(|value| assert_eq!(value, 1))?))
    }),
    (&["sync::channel::Receiver::recv_timeout"], || {
        let (sender, receiver) = channel::unbounded();
        sender.send(1).unwrap();
        call(move || Ok(receiver.recv_timeout(LONG).map(|value| assert_eq!(value, 1))?))
    }),
    (&["sync::mpsc::SyncSender::send_cancellable"], || {
        let (sender, receiver) = mpsc::sync_channel(1);
        call(move || {
            let sent = inner(sender.send_cancellable(1));
            assert_eq!(receiver.try_recv().is_ok(), sent.is_ok());
            sent
        })
    }),
    (&["sync::mpsc::Receiver::recv_cancellable"], || {
        let (sender, receiver) = mpsc::channel();
        sender.send(1).unwrap();
        call(move || inner(receiver.recv_cancellable()).map(|value| assert_eq!(value, 1)))
    }),
    (&["sync::mpsc::Receiver::recv_timeout_cancellable"], || {
        let (sender, receiver) = mpsc::channel();
        sender.send(1).unwrap();
        call(move || inner(receiver.recv_timeout_cancellable(LONG)).map(|value| assert_eq!(value, 1)))
    }),
    (&["sync::oneshot::Receiver::recv"], || {
        let (sender, receiver) = oneshot::channel();
        sender.send(1).unwrap();
        call(move || Ok(receiver.recv().map(|value| assert_eq!(value, 1))?))
    }),
    (&["sync::oneshot::Receiver::recv_timeout"], || {
        let (sender, receiver) = oneshot::channel();
        sender.send(1).unwrap();
        call(move || Ok(receiver.recv_timeout(LONG).map(|value| assert_eq!(value, 1))?))
    }),
    (&["sync::oneshot::Sender::closed"], || {
        let (sender, receiver) = oneshot::channel::<u8>();
        receiver.close();
        call(move || sender.closed())
    }),
    (&["sync::mpsc::SyncSender::send"], || {
        calls(|| {
            let (sender, receiver) = mpsc::sync_channel(0);
            let other = soon(move || assert_eq!(receiver.recv(), Ok(1)));
            sender.send(1).unwrap();
            other.join().unwrap();
            assert!(sender.send(2).is_err());
        })
    }),
    (&["sync::mpsc::Receiver::recv", "sync::mpsc::Receiver::recv_timeout"], || {
        calls(|| {
            let (sender, receiver) = mpsc::channel();
            assert_eq!(receiver.recv_timeout(SHORT), Err(mpsc::RecvTimeoutError::Timeout));
            let other = soon(move || sender.send(1).unwrap());
            assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(mpsc::RecvError)));
            other.join().unwrap();
        })
    }),
    (
        &[
            "sync::channel::bounded",
            "sync::channel::unbounded",
            "sync::channel::bounded_named",
            "sync::channel::unbounded_named",
            "sync::channel::Sender::try_send",
            "sync::channel::Sender::close",
            "sync::channel::Sender::is_closed",
            "sync::channel::Sender::len",
            "sync::channel::Sender::is_empty",
            "sync::channel::Sender::is_full",
            "sync::channel::Sender::capacity",
            "sync::channel::Sender::same_channel",
            "sync::channel::Sender::name",
            "sync::channel::Receiver::try_recv",
            "sync::channel::Receiver::iter",
            "sync::channel::Receiver::try_iter",
            "sync::channel::Receiver::close",
            "sync::channel::Receiver::is_closed",
            "sync::channel::Receiver::len",
            "sync::channel::Receiver::is_empty",
            "sync::channel::Receiver::is_full",
            "sync::channel::Receiver::capacity",
            "sync::channel::Receiver::same_channel",
            "sync::channel::Receiver::name",
            "sync::channel::SendError::into_inner",
            "sync::channel::TrySendError::into_inner",
            "sync::channel::SendTimeoutError::into_inner",
        ],
        || {
            calls(|| {
                let (sender, receiver) = channel::bounded_named(1, "named");
                sender.try_send(1).unwrap();
                look!(&sender);
                look!(&receiver);
                assert_eq!(sender.try_send(2).map_err(channel::TrySendError::into_inner), Err(2));
                let _ = receiver.iter();
                assert_eq!((receiver.try_iter().count(), receiver.try_recv().is_err()), (1, true));
                assert!(sender.close() && !receiver.close());
                assert_eq!(channel::SendError::Closed(1).into_inner(), 1);
                assert_eq!(channel::SendTimeoutError::Closed(1).into_inner(), 1);
                assert_eq!(channel::bounded::<u8>(1).0.name(), channel::unbounded::<u8>().0.name());
                assert_eq!(channel::unbounded_named::<u8>("named").1.name(), Some("named"));
            })
        },
    ),
    (
        &[
            "sync::mpsc::channel",
            "sync::mpsc::channel_named",
            "sync::mpsc::sync_channel",
            "sync::mpsc::sync_channel_named",
            "sync::mpsc::Sender::send",
            "sync::mpsc::SyncSender::try_send",
            "sync::mpsc::Receiver::try_recv",
            "sync::mpsc::Receiver::iter",
            "sync::mpsc::Receiver::try_iter",
        ],
        || {
            calls(|| {
                for (sender, receiver) in [mpsc::channel(), mpsc::channel_named("named")] {
                    sender.send(1).unwrap();
                    let _ = receiver.iter();
                    assert_eq!((receiver.try_iter().count(), receiver.try_recv().is_err()), (1, true));
                }
                for (sender, receiver) in [mpsc::sync_channel(1), mpsc::sync_channel_named(1, "named")] {
                    assert!(sender.try_send(1).is_ok() && sender.try_send(2).is_err());
                    assert_eq!(receiver.try_recv(), Ok(1));
                }
            })
        },
    ),
    (
        &[
            "sync::oneshot::channel",
            "sync::oneshot::channel_named",
            "sync::oneshot::Sender::send",
            "sync::oneshot::Sender::is_closed",
            "sync::oneshot::Sender::name",
            "sync::oneshot::Receiver::try_recv",
            "sync::oneshot::Receiver::close",
            "sync::oneshot::Receiver::name",
        ],
        || {
            calls(|| {
                let (sender, receiver) = oneshot::channel();
                assert!(!sender.is_closed() && receiver.try_recv().is_err());
                sender.send(1).unwrap();
                assert_eq!(receiver.try_recv(), Ok(1));
                let (sender, receiver) = oneshot::channel_named("named");
                assert_eq!((sender.name(), receiver.name()), (Some("named"), Some("named")));
                receiver.close();
                assert_eq!(sender.send(1), Err(1));
            })
        },
    ),
];
