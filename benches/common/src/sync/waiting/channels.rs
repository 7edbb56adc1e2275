//! Channels: some send, others receive.

use super::{begin, fair};
use crate::rt;
use common::{Args, ns, out};
use std::time::Instant;

/// A peer's channel.
pub trait Channels: 'static {
    type Tx<T: Send + 'static>: Send + 'static;
    type Rx<T: Send + 'static>: Send + 'static;
    /// A channel of that capacity (`None`: without a bound) with so many ends of each kind.
    #[allow(clippy::type_complexity)]
    fn ends<T: Send + 'static>(
        capacity: Option<usize>,
        senders: usize,
        receivers: usize,
    ) -> (Vec<Self::Tx<T>>, Vec<Self::Rx<T>>);
    fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T);
    /// `None`: all senders have gone.
    fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T>;

    /// One end of each, without a bound.
    fn queue<T: Send + 'static>() -> (Self::Tx<T>, Self::Rx<T>) {
        let (mut senders, mut receivers) = Self::ends(None, 1, 1);
        (senders.remove(0), receivers.remove(0))
    }
}

/// Runs what the command line names, if it is of a channel.
pub fn channels<C: Channels>() -> bool {
    let (a, workers) = begin();
    match (a.workload.as_str(), a.str("of", "").as_str()) {
        ("chan", _) => flow::<C>(a, workers),
        ("fair", "send") => fair::send::<C>(a, workers),
        ("fair", "recv") => fair::recv::<C>(a, workers),
        _ => return false,
    }
    true
}

/// All numbers go through, and all come out.
fn flow<C: Channels>(a: &Args, workers: usize) {
    let (senders, receivers, capacity) = (a.num("senders", 1), a.num("receivers", 1), a.num("capacity", 0));
    let each = (a.num("n", 1_000_000) / senders) as u64;
    let all = each * senders as u64;
    let t = rt::run(workers, move || {
        let (txs, rxs) = C::ends::<u64>((capacity > 0).then_some(capacity), senders, receivers);
        let t = Instant::now();
        let receive = |rx| {
            rt::spawn(move || {
                let (mut count, mut sum) = (0, 0);
                while let Some(value) = C::recv(&rx) {
                    (count, sum) = (count + 1, sum + value);
                }
                (count, sum)
            })
        };
        let getting: Vec<_> = rxs.into_iter().map(receive).collect();
        let send = |tx| {
            rt::spawn(move || {
                for value in 0..each {
                    C::send(&tx, value);
                }
            })
        };
        let putting: Vec<_> = txs.into_iter().map(send).collect();
        putting.into_iter().for_each(rt::join);
        let found = getting.into_iter().map(rt::join).fold((0, 0), |a, b: (u64, u64)| (a.0 + b.0, a.1 + b.1));
        assert_eq!(found, (all, senders as u64 * (each * (each - 1) / 2)), "each comes once");
        ns(t)
    });
    out(&[("ns", t as f64 / all as f64)]);
}
