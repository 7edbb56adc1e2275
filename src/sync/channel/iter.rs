//! Loops over what is received.

use super::Receiver;

/// The loops over what a `Receiver` receives, of this module's caller: each step is its `recv`, or its `try_recv`.
macro_rules! loops_over_receiver {
    () => {
        /// Of [`Receiver::iter`].
        #[derive(Debug)]
        pub struct Iter<'a, T>(pub(in crate::sync) &'a Receiver<T>);

        /// Of [`Receiver::try_iter`].
        #[derive(Debug)]
        pub struct TryIter<'a, T>(pub(in crate::sync) &'a Receiver<T>);

        /// As [`Iter`], with the receiver.
        #[derive(Debug)]
        pub struct IntoIter<T>(Receiver<T>);

        impl<T> Iterator for Iter<'_, T> {
            type Item = T;

            fn next(&mut self) -> Option<T> {
                self.0.recv().ok()
            }
        }

        impl<T> Iterator for TryIter<'_, T> {
            type Item = T;

            fn next(&mut self) -> Option<T> {
                self.0.try_recv().ok()
            }
        }

        impl<T> Iterator for IntoIter<T> {
            type Item = T;

            fn next(&mut self) -> Option<T> {
                self.0.recv().ok()
            }
        }

        impl<'a, T> IntoIterator for &'a Receiver<T> {
            type Item = T;
            type IntoIter = Iter<'a, T>;

            fn into_iter(self) -> Iter<'a, T> {
                self.iter()
            }
        }

        impl<T> IntoIterator for Receiver<T> {
            type Item = T;
            type IntoIter = IntoIter<T>;

            fn into_iter(self) -> IntoIter<T> {
                IntoIter(self)
            }
        }
    };
}
pub(in crate::sync) use loops_over_receiver;

loops_over_receiver!();
