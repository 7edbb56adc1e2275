//! Locks that block the thread, for peers that have them beside their own: std's and parking_lot's.

use crate::waiting::Locks;

/// std's.
pub struct Std;

impl Locks for Std {
    type Mutex<T: Send + 'static> = std::sync::Mutex<T>;
    fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T> {
        std::sync::Mutex::new(value)
    }
    fn with<T: Send + 'static, R>(mutex: &Self::Mutex<T>, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut mutex.lock().unwrap())
    }
}

pub struct ParkingLot;

impl Locks for ParkingLot {
    type Mutex<T: Send + 'static> = parking_lot::Mutex<T>;
    fn mutex<T: Send + 'static>(value: T) -> Self::Mutex<T> {
        parking_lot::Mutex::new(value)
    }
    fn with<T: Send + 'static, R>(mutex: &Self::Mutex<T>, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut mutex.lock())
    }
}
