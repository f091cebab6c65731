//! CSV files being written.

use crate::block::BatchSink;
use crate::error::{Error, Result};
use crate::io::sink::written;
use crate::io::temp::Draft;
use arrow::array::RecordBatch;
use arrow::csv::QuoteStyle;
use arrow::datatypes::Schema;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Which values of a CSV file are in quotes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CsvQuotes {
    /// Those that need them: that hold a delimiter, a quote or a line end.
    #[default]
    Necessary,
    /// All.
    Always,
    /// All but numbers.
    NonNumeric,
    /// None. A value that would need them is an error.
    Never,
}

/// How a CSV file is written.
///
/// ```
/// use blockwise::frame::{CsvWriteOptions, DataFrame};
/// let df = DataFrame::from_columns([("a", vec![Some(1i64), None].into()), ("b", vec!["x", "y"].into())]);
/// let path = std::env::temp_dir().join(format!("blockwise-doc-{}.csv", std::process::id()));
/// df.write_csv_with(&path, CsvWriteOptions { delimiter: b';', null: "NA".into(), ..CsvWriteOptions::default() })?;
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "a;b\n1;x\nNA;y\n");
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CsvWriteOptions {
    /// Between values.
    pub delimiter: u8,
    /// Around values, and doubled inside them.
    pub quote: u8,
    /// Which values are in quotes.
    pub quotes: CsvQuotes,
    /// Whether the first row names the columns.
    pub header: bool,
    /// What is written for null.
    pub null: String,
}

impl Default for CsvWriteOptions {
    /// Commas, double quotes where necessary, a header, nothing for null.
    fn default() -> CsvWriteOptions {
        let (delimiter, quote, quotes) = (b',', b'"', CsvQuotes::Necessary);
        CsvWriteOptions { delimiter, quote, quotes, header: true, null: String::new() }
    }
}

impl CsvWriteOptions {
    /// Whether a text is another value, or several, if there are no quotes around it.
    fn needs_quotes(&self, text: &str) -> bool {
        let special = [self.delimiter, self.quote, b'\n', b'\r'];
        text.bytes().any(|b| special.contains(&b))
    }
}

/// A CSV file being written.
#[derive(Debug)]
pub struct CsvSink {
    path: PathBuf,
    options: CsvWriteOptions,
    writer: Mutex<Option<arrow::csv::Writer<BufWriter<Draft>>>>,
}

impl CsvSink {
    /// A file for tables of this schema.
    ///
    /// # Errors
    /// If it cannot be created, a column has no values of text, or delimiter and quote cannot be told apart.
    pub fn create(path: impl AsRef<Path>, schema: &Schema, options: &CsvWriteOptions) -> Result<CsvSink> {
        CsvSink::new(Draft::beside(path.as_ref())?, path.as_ref(), schema, options)
    }

    pub(in crate::io) fn new(
        draft: Draft,
        path: &Path,
        schema: &Schema,
        options: &CsvWriteOptions,
    ) -> Result<CsvSink> {
        let (delimiter, quote) = (options.delimiter, options.quote);
        if delimiter == quote || [delimiter, quote].iter().any(|b| b"\n\r".contains(b)) {
            let message = format!(
                "delimiter {:?} and quote {:?} must differ, and be no line ends",
                char::from(delimiter),
                char::from(quote)
            );
            return Err(Error::invalid("write_csv", message));
        }
        if let Some(field) = schema.fields().iter().find(|f| f.data_type().is_nested() && !is_dictionary(f)) {
            let message =
                format!("column {:?} is {}; CSV has no such values", field.name(), field.data_type());
            return Err(Error::invalid("write_csv", message));
        }
        if options.quotes == CsvQuotes::Never {
            let names = schema.fields().iter().map(|f| f.name()).filter(|_| options.header);
            if let Some(name) = names.into_iter().find(|name| options.needs_quotes(name)) {
                let message = format!("the name of column {name:?} needs quotes");
                return Err(Error::invalid("write_csv", message));
            }
            if options.needs_quotes(&options.null) {
                let message = format!("what is written for null, {:?}, needs quotes", options.null);
                return Err(Error::invalid("write_csv", message));
            }
        }
        let mut out = BufWriter::with_capacity(32 << 10, draft);
        if options.header {
            // by hand: a table of no rows has a header, too
            let mut header = csv::WriterBuilder::new()
                .delimiter(delimiter)
                .quote(quote)
                .quote_style(match options.quotes {
                    CsvQuotes::Always => csv::QuoteStyle::Always,
                    CsvQuotes::NonNumeric => csv::QuoteStyle::NonNumeric,
                    _ => csv::QuoteStyle::Necessary,
                })
                .from_writer(vec![]);
            let names = schema.fields().iter().map(|f| f.name());
            header.write_record(names).map_err(|e| Error::internal(e.to_string()))?;
            let bytes = header.into_inner().map_err(|e| Error::internal(e.to_string()))?;
            out.write_all(&bytes).map_err(|e| Error::io("writing", path, e))?;
        }
        let writer = arrow::csv::WriterBuilder::new()
            .with_header(false)
            .with_delimiter(delimiter)
            .with_quote(quote)
            .with_null(options.null.clone())
            .with_quote_style(match options.quotes {
                CsvQuotes::Necessary => QuoteStyle::Necessary,
                CsvQuotes::Always => QuoteStyle::Always,
                CsvQuotes::NonNumeric => QuoteStyle::NonNumeric,
                CsvQuotes::Never => QuoteStyle::Never,
            })
            .build(out);
        let (path, options) = (path.to_owned(), options.clone());
        Ok(CsvSink { path, options, writer: Mutex::new(Some(writer)) })
    }

    /// Without quotes, a value must not need them.
    fn check(&self, batch: &RecordBatch) -> Result<()> {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let texts = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8);
            let texts = texts.map_err(|e| written(&self.path, e))?;
            let texts = arrow::array::AsArray::as_string::<i32>(&texts);
            if let Some(value) = texts.iter().flatten().find(|v| self.options.needs_quotes(v)) {
                let message = format!("column {:?} has {value:?}, which needs quotes", field.name());
                return Err(Error::invalid("write_csv", message));
            }
        }
        Ok(())
    }
}

fn is_dictionary(field: &arrow::datatypes::Field) -> bool {
    matches!(field.data_type(), arrow::datatypes::DataType::Dictionary(..))
}

impl BatchSink for CsvSink {
    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&self, batch: &RecordBatch) -> Result<()> {
        if self.options.quotes == CsvQuotes::Never {
            self.check(batch)?;
        }
        match self.writer.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            Some(writer) => writer.write(batch).map_err(|e| written(&self.path, e)),
            None => Err(Error::internal("a write after the end")),
        }
    }

    fn finish(&self) -> Result<()> {
        let writer = self.writer.lock().unwrap_or_else(|e| e.into_inner()).take();
        let Some(writer) = writer else { return Err(Error::internal("finished twice")) };
        let mut buffered = writer.into_inner();
        buffered.flush().map_err(|e| Error::io("writing", &self.path, e))?;
        let draft = buffered.into_inner().map_err(|e| Error::io("writing", &self.path, e.into_error()))?;
        draft.publish(&self.path)
    }
}
