//! Ctrl-C.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What a shell reports of a program that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Calls `cancel` at the first interrupt. If that says that there was nothing to cancel, and at any later interrupt, the
/// process ends.
///
/// # Errors
/// If interrupts are handled already: a process has one handler.
pub(crate) fn on_interrupt(cancel: impl Fn() -> bool + Send + 'static) -> Result<()> {
    let asked = AtomicBool::new(false);
    let handler = move || {
        if asked.swap(true, Relaxed) || !cancel() {
            std::process::exit(INTERRUPTED);
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Error::invalid("cancel_on_interrupt", e.to_string()))
}
