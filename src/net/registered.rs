//! How the driver knows a handle's descriptor: it is registered with it, once a call has had to wait.

use super::sys::Origin;
use ec_channel::raw::Registration;
use ec_pool::wait;
use socket2::{Domain, SockRef};
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// See the module.
#[derive(Default)]
pub(super) struct Registered {
    /// `None`: the driver has no use for it.
    known: OnceLock<Option<Registration>>,
    /// Somebody registers it, or has.
    begun: AtomicBool,
}

impl Registered {
    /// How the driver knows the descriptor. The first call registers it. One that comes meanwhile goes without, once: so only one ever
    /// does it, and nobody is held up by another thread. `None`: not at all, or not yet.
    ///
    /// # Safety
    /// It is the same each time. It stays open until [`leave`](Self::leave), and nobody waits then who was told of the registration.
    pub(super) unsafe fn get(&self, fd: BorrowedFd<'_>, origin: Origin) -> Option<&Registration> {
        if let Some(known) = self.known.get() {
            return known.as_ref();
        }
        if self.begun.swap(true, Ordering::Relaxed) {
            return None;
        }
        let is_inet = || match origin {
            Origin::Here => true,
            Origin::Elsewhere => {
                SockRef::from(&fd).domain().is_ok_and(|it| matches!(it, Domain::IPV4 | Domain::IPV6))
            }
        };
        // SAFETY: by contract.
        let new = unsafe { wait::register(fd, is_inet) };
        self.known.get_or_init(|| new).as_ref()
    }

    /// The descriptor is about to be closed, or to be somebody else's.
    pub(super) fn leave(&mut self) {
        drop(self.known.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn who_comes_while_another_registers_decides_nothing() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let registered = Registered { begun: AtomicBool::new(true), ..Registered::default() };
        // SAFETY: the socket stays open.
        assert!(unsafe { registered.get(socket.as_fd(), Origin::Here) }.is_none());
        assert!(registered.known.get().is_none(), "that is up to the other");
        let registered = Registered::default();
        // SAFETY: as above. (On a plain thread there is no driver to know it.)
        assert!(unsafe { registered.get(socket.as_fd(), Origin::Here) }.is_none());
        assert!(registered.known.get().is_some());
    }
}
