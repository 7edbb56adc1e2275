//! Buffers that are taken when there is something to put into them.

use crate::fork;
use crate::lock::{Mutex, has_room, make_room};
use crate::operation::{Supplied, Supply};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Buffers of one size, for many receives: one is taken when something has come, and goes back when its event is dropped, or posted
/// [again](crate::Event::again). So ten thousand connections on which nothing happens hold none. See
/// [`Request::recv_pooled`](crate::Request::recv_pooled).
///
/// Cheap to clone; all clones are the same pool. Several channels and threads may use it. All memory is taken as it is made.
///
/// ```
/// use ec_channel::BufferPool;
/// let pool = BufferPool::new(16, 4096);
/// assert_eq!((pool.available(), pool.size()), (16, 4096));
/// ```
#[derive(Clone)]
pub struct BufferPool(Arc<Inner>);

struct Inner {
    count: usize,
    size: usize,
    state: Mutex<State>,
}

struct State {
    /// (With room for all.)
    free: Vec<Vec<u8>>,
    /// They are told of the next one that comes back.
    waiting: Vec<Arc<dyn Supplied>>,
}

impl BufferPool {
    /// So many buffers, of so many bytes each.
    ///
    /// # Panics
    /// There are none, or they have no room.
    pub fn new(buffers: usize, size: usize) -> Self {
        assert!(buffers > 0 && size > 0, "a pool of {buffers} buffers of {size} bytes is of no use");
        let free = (0..buffers).map(|_| Vec::with_capacity(size)).collect();
        let state = Mutex::new(State { free, waiting: Vec::new() });
        BufferPool(Arc::new(Inner { count: buffers, size, state }))
    }

    /// How many buffers can be taken now.
    pub fn available(&self) -> usize {
        self.0.state.lock().free.len()
    }

    /// How many bytes a buffer has room for.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// One that is empty. `None`: all are in use.
    pub(super) fn take(&self) -> Option<PooledBuffer> {
        let buffer = self.0.state.lock().free.pop()?;
        Some(PooledBuffer { buffer, pool: self.clone() })
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        // (In a forked child the lock may be held by a thread that is not there.)
        if fork::is_child() {
            return;
        }
        buffer.clear();
        let mut state = self.0.state.lock();
        state.free.push(buffer);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for port in waiting {
            port.supplied();
        }
    }
}

impl Supply for BufferPool {
    fn number(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    fn tell(&self, port: &Arc<dyn Supplied>) -> bool {
        loop {
            let mut state = self.0.state.lock();
            if !state.free.is_empty() {
                return false;
            }
            if state.waiting.iter().any(|one| Arc::ptr_eq(one, port)) {
                return true;
            }
            if has_room(&state.waiting, 1) {
                state.waiting.push(port.clone());
                return true;
            }
            drop(state);
            make_room(&self.0.state, |state| &mut state.waiting, 1);
        }
    }

    fn forget(&self, port: &Arc<dyn Supplied>) {
        let mut state = self.0.state.lock();
        let place = state.waiting.iter().position(|one| Arc::ptr_eq(one, port));
        let forgotten = place.map(|at| state.waiting.remove(at));
        drop(state);
        drop(forgotten);
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, buffers) = (self.0.size, self.0.count);
        f.debug_struct("BufferPool").field("buffers", &buffers).field("size", &size).finish_non_exhaustive()
    }
}

/// What was received, in a buffer of a [`BufferPool`], to which it goes back when this is dropped.
pub struct PooledBuffer {
    pub(super) buffer: Vec<u8>,
    pool: BufferPool,
}

impl Deref for PooledBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

/// Its bytes.
impl fmt::Debug for PooledBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.buffer.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventChannel, Request};
    use ec_test_support::limit;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[derive(Default)]
    struct Told(AtomicUsize);

    impl Supplied for Told {
        fn supplied(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_port_is_told_once_of_what_comes_back_and_never_waits_beside_a_buffer() {
        let pool = BufferPool::new(2, 1);
        let told = [Arc::new(Told::default()), Arc::new(Told::default())];
        let ports = told.clone().map(|it| it as Arc<dyn Supplied>);
        let counts = || [0, 1].map(|n: usize| told[n].0.load(Ordering::SeqCst));
        let (one, other) = (pool.take().unwrap(), pool.take().unwrap());
        assert!(pool.take().is_none());
        assert!(pool.tell(&ports[0]) && pool.tell(&ports[0]) && pool.tell(&ports[1]));
        drop(one);
        assert_eq!((counts(), pool.available()), ([1, 1], 1));
        // It may have come back since it was looked for.
        assert!(!pool.tell(&ports[0]));
        drop(other);
        assert_eq!((counts(), pool.available()), ([1, 1], 2));
    }

    #[test]
    fn a_pool_keeps_nothing_of_a_channel_that_lacks_nothing_any_more() {
        let pool = BufferPool::new(1, 1);
        let held = pool.take().unwrap();
        let waiting = || pool.0.state.lock().waiting.len();
        let lacks = |channel: &EventChannel| {
            let (near, far) = UnixStream::pair().unwrap();
            (&far).write_all(b"x").unwrap();
            let id = channel.post(Request::recv_pooled(near, &pool)).unwrap();
            assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
            (id, far)
        };
        limit(30, || {
            let (one, other) = (EventChannel::new().unwrap(), EventChannel::new().unwrap());
            let (id, _far) = lacks(&one);
            let _others = [lacks(&other), lacks(&other)];
            while waiting() < 2 {
                assert!(one.try_get_event().unwrap().is_none() && other.try_get_event().unwrap().is_none());
            }
            assert!(one.cancel(id));
            assert!(one.get_event().unwrap().is_cancelled());
            assert_eq!(waiting(), 1);
            drop(other);
            assert_eq!(waiting(), 0);
        });
        drop(held);
    }
}
