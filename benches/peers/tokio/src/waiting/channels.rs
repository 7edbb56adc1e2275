//! Its channels, and async-channel's where there are many receivers.

use super::run;
use common::{Args, ns, out};
use std::future::Future;
use std::time::Instant;
use tokio::sync::mpsc;

/// A kind of channel of numbers.
pub trait Channel: 'static {
    type Tx: Clone + Send + Sync + 'static;
    type Rx: Send + 'static;
    fn ends(capacity: usize, receivers: usize) -> (Self::Tx, Vec<Self::Rx>);
    fn send(tx: &Self::Tx, value: u64) -> impl Future<Output = ()> + Send;
    /// `None`: all senders have gone.
    fn recv(rx: &mut Self::Rx) -> impl Future<Output = Option<u64>> + Send;
}

pub struct Bounded;

impl Channel for Bounded {
    type Tx = mpsc::Sender<u64>;
    type Rx = mpsc::Receiver<u64>;
    fn ends(capacity: usize, _: usize) -> (Self::Tx, Vec<Self::Rx>) {
        let (tx, rx) = mpsc::channel(capacity);
        (tx, vec![rx])
    }
    async fn send(tx: &Self::Tx, value: u64) {
        tx.send(value).await.unwrap();
    }
    async fn recv(rx: &mut Self::Rx) -> Option<u64> {
        rx.recv().await
    }
}

struct Unbounded;

impl Channel for Unbounded {
    type Tx = mpsc::UnboundedSender<u64>;
    type Rx = mpsc::UnboundedReceiver<u64>;
    fn ends(_: usize, _: usize) -> (Self::Tx, Vec<Self::Rx>) {
        let (tx, rx) = mpsc::unbounded_channel();
        (tx, vec![rx])
    }
    async fn send(tx: &Self::Tx, value: u64) {
        tx.send(value).unwrap();
    }
    async fn recv(rx: &mut Self::Rx) -> Option<u64> {
        rx.recv().await
    }
}

/// async-channel's; capacity 0: without a bound.
pub struct Many;

impl Channel for Many {
    type Tx = async_channel::Sender<u64>;
    type Rx = async_channel::Receiver<u64>;
    fn ends(capacity: usize, receivers: usize) -> (Self::Tx, Vec<Self::Rx>) {
        let bounded = || async_channel::bounded(capacity);
        let (tx, rx) = if capacity > 0 { bounded() } else { async_channel::unbounded() };
        (tx, vec![rx; receivers])
    }
    async fn send(tx: &Self::Tx, value: u64) {
        tx.send(value).await.unwrap();
    }
    async fn recv(rx: &mut Self::Rx) -> Option<u64> {
        rx.recv().await.ok()
    }
}

pub fn chan(a: &Args, workers: usize) {
    match (a.num("capacity", 0), a.num("receivers", 1)) {
        (0, 1) => flow::<Unbounded>(a, workers),
        (_, 1) => flow::<Bounded>(a, workers),
        _ => flow::<Many>(a, workers),
    }
}

/// All numbers go through, and all come out.
fn flow<C: Channel>(a: &Args, workers: usize) {
    let (senders, receivers, capacity) = (a.num("senders", 1), a.num("receivers", 1), a.num("capacity", 0));
    let each = (a.num("n", 1_000_000) / senders) as u64;
    let all = each * senders as u64;
    let t = run(workers, async move {
        let (tx, rxs) = C::ends(capacity, receivers);
        let t = Instant::now();
        let receive = |mut rx| {
            tokio::spawn(async move {
                let (mut count, mut sum) = (0, 0);
                while let Some(value) = C::recv(&mut rx).await {
                    (count, sum) = (count + 1, sum + value);
                }
                (count, sum)
            })
        };
        let getting: Vec<_> = rxs.into_iter().map(receive).collect();
        let send = |tx: C::Tx| {
            tokio::spawn(async move {
                for value in 0..each {
                    C::send(&tx, value).await;
                }
            })
        };
        let putting: Vec<_> = vec![tx; senders].into_iter().map(send).collect();
        for task in putting {
            task.await.unwrap();
        }
        let mut found: (u64, u64) = (0, 0);
        for task in getting {
            let (count, sum) = task.await.unwrap();
            found = (found.0 + count, found.1 + sum);
        }
        assert_eq!(found, (all, senders as u64 * (each * (each - 1) / 2)), "each comes once");
        ns(t)
    });
    out(&[("ns", t / all as f64)]);
}
