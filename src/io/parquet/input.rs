//! How the Parquet reader sees a file.

use crate::io::input::Input;
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::io::{BufReader, Read};

impl Length for Input {
    fn len(&self) -> u64 {
        match self {
            Input::Disk(file) => Length::len(file),
            Input::Object(object) => object.len(),
        }
    }
}

impl ChunkReader for Input {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(match self {
            Input::Disk(file) => Box::new(file.get_read(start)?),
            Input::Object(object) => Box::new(BufReader::new(object.reader_at(start))),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match self {
            Input::Disk(file) => file.get_bytes(start, length),
            Input::Object(object) => {
                let bytes = object.range(start, length)?;
                match bytes.len() == length {
                    true => Ok(bytes.into()),
                    false => Err(ParquetError::EOF(format!("{length} bytes from {start} are not all there"))),
                }
            }
        }
    }
}
