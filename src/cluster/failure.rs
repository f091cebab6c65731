//! Errors on their way through the engine, which keeps nothing of them but their text.

use crate::error::{Error, ErrorKind};
use datafusion::error::DataFusionError;
use serde::{Deserialize, Serialize};

/// Around the hexadecimal form of a [`Failure`] in the engine's text.
const OPEN: &str = "[blockwise:";
const CLOSE: char = ']';

/// What a worker says of an error.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub worker: String,
    pub place: String,
    pub message: String,
    /// Whether it may go well the next time: something was lost on the way.
    pub again: bool,
}

/// An error of ours as the engine carries it. Input and output that may go well if it is tried again is told in the engine's own words: it
/// then tries again.
pub(super) fn to_engine(error: Error, worker: &str, place: &str) -> DataFusionError {
    use std::io::ErrorKind as Io;
    if let ErrorKind::Io { source, .. } = error.kind()
        && matches!(
            source.kind(),
            Io::TimedOut
                | Io::Interrupted
                | Io::WouldBlock
                | Io::ConnectionReset
                | Io::StaleNetworkFileHandle
        )
    {
        return DataFusionError::IoError(std::io::Error::new(
            source.kind(),
            format!("worker {worker}: {error}"),
        ));
    }
    let failure = Failure {
        worker: worker.into(),
        place: place.into(),
        message: error.to_string(),
        again: matches!(error.kind(), ErrorKind::Wire { what: "piece", .. } | ErrorKind::Cancelled),
    };
    let form: String = postcard::to_stdvec(&failure)
        .map(|bytes| bytes.iter().map(|b| format!("{b:02x}")).collect())
        .unwrap_or_default();
    DataFusionError::Execution(format!("worker {worker}, {place}: {error} {OPEN}{form}{CLOSE}"))
}

/// An error of the engine on our side.
pub(super) fn from_engine(error: DataFusionError) -> Error {
    Error::internal(error.to_string())
}

/// What a worker said, if the engine's text holds it.
pub(super) fn find(text: &str) -> Option<Failure> {
    let (_, rest) = text.split_once(OPEN)?;
    let (form, _) = rest.split_once(CLOSE)?;
    let digits = form.as_bytes().chunks(2);
    let bytes = digits.map(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
    postcard::from_bytes(&bytes.collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_through_the_engines_text() {
        let error = Error::invalid("sum", "a [bracket] and \"quotes\"");
        let text = format!("Job x failed: {:?}", to_engine(error, "w1", "stage 2").to_string());
        let failure = find(&text).unwrap();
        assert_eq!(
            (failure.worker.as_str(), failure.place.as_str(), failure.again),
            ("w1", "stage 2", false)
        );
        assert_eq!(failure.message, "sum: a [bracket] and \"quotes\"");
        assert_eq!(find("Job x failed: [blockwise:zz]"), None);
        assert_eq!(find("Job x failed"), None);
    }

    #[test]
    fn trouble_that_may_pass_is_tried_again_by_the_engine() {
        let error = Error::io("reading", "x", std::io::ErrorKind::TimedOut.into());
        assert!(matches!(to_engine(error, "w1", ""), DataFusionError::IoError(_)));
        let error = Error::io("reading", "x", std::io::ErrorKind::NotFound.into());
        assert!(matches!(to_engine(error, "w1", ""), DataFusionError::Execution(_)));
    }
}
