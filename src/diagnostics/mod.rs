//! Seeing what runs: a progress bar, a trace for Perfetto, run summaries, and Ctrl-C.
//!
//! Observers get the [events](crate::event::Event) of every run of the sessions they are added to; they decide nothing.
//!
//! | to see | use |
//! |---|---|
//! | what will run, and the memory it may take | [`Array::explain`](crate::Array::explain) |
//! | how far it is | [`SessionBuilder::progress`](crate::session::SessionBuilder::progress) |
//! | what it did and used | [`Session::last_summary`](crate::Session::last_summary), which prints |
//! | which worker did what and when | [`Trace`] |
//! | results of a run that is wanted no longer | [`Session::cancel_on_interrupt`](crate::Session::cancel_on_interrupt) |

#[cfg(feature = "interrupt")]
mod interrupt;
#[cfg(feature = "progress")]
mod progress;
mod trace;

#[cfg(feature = "interrupt")]
pub(crate) use interrupt::on_interrupt;
#[cfg(feature = "progress")]
pub use progress::ProgressBar;
pub use trace::Trace;
