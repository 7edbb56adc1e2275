//! The conversions and descriptor traits that the socket types share, as std's types have them.

/// For a type `$ours { std: $std, mode: Mode }` that has `new` and `into_std`.
macro_rules! handles {
    ($ours:ident, $std:ty) => {
        /// Takes over std's socket, with its timeouts and its blocking mode.
        impl From<$std> for $ours {
            fn from(std: $std) -> Self {
                let mode = crate::net::mode::Mode::of(std::os::fd::AsFd::as_fd(&std));
                Self::new(std, mode)
            }
        }

        impl From<$ours> for $std {
            fn from(ours: $ours) -> Self {
                ours.into_std()
            }
        }

        impl From<std::os::fd::OwnedFd> for $ours {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                <$std>::from(fd).into()
            }
        }

        impl From<$ours> for std::os::fd::OwnedFd {
            fn from(ours: $ours) -> Self {
                ours.into_std().into()
            }
        }

        impl std::os::fd::AsFd for $ours {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.mode.given_out();
                self.std.as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $ours {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.mode.given_out();
                self.std.as_raw_fd()
            }
        }

        impl std::os::fd::IntoRawFd for $ours {
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                self.into_std().into_raw_fd()
            }
        }

        impl std::os::fd::FromRawFd for $ours {
            unsafe fn from_raw_fd(fd: std::os::fd::RawFd) -> Self {
                // SAFETY: the caller's promise is the same: an open descriptor that it gives away.
                unsafe { <$std>::from_raw_fd(fd) }.into()
            }
        }

        /// As std shows it.
        impl std::fmt::Debug for $ours {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let std: &$std = &self.std;
                std.fmt(f)
            }
        }
    };
}

pub(super) use handles;
