//! Arrow IPC, files (also known as Feather) and streams: a part is a record batch as it was written.

use super::address::table_of;
use super::files::{file_label, guarded};
use super::input::Input;
use super::sink::written;
use super::temp::Draft;
use crate::block::{BatchSink, BatchSource, TableAddress};
use crate::error::{Error, Result};
use arrow::array::{Array, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::{
    Block, CompressionType, Message, MessageHeader, MetadataVersion, root_as_footer, root_as_message,
};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// An Arrow IPC file or stream as a source of rows.
#[derive(Debug)]
pub struct IpcSource {
    path: PathBuf,
    schema: SchemaRef,
    version: MetadataVersion,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
    /// By the columns that are read: what knows the dictionaries.
    decoders: Mutex<Vec<(Vec<usize>, Arc<FileDecoder>)>>,
    /// Bytes of the batch that takes most to read.
    most: OnceLock<usize>,
}

/// Rows that are handed over at once.
const PIECE: usize = 1 << 15;
const FORMAT: &str = "Arrow IPC file";
/// What a compressed buffer may grow by: more is damage, and would ask for more memory than there is.
const GROWTH: usize = 1 << 16;

/// What a file says of itself.
struct Contents {
    schema: Schema,
    version: MetadataVersion,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
}

impl IpcSource {
    /// Opens a file or a stream; reads where its batches are.
    ///
    /// # Errors
    /// If it cannot be read, is no Arrow IPC, or was written by a machine of the other byte order.
    pub fn open(path: impl AsRef<Path>) -> Result<IpcSource> {
        let path = path.as_ref().to_owned();
        let io = |e| Error::io("reading", &path, e);
        let mut file = Input::open(&path).map_err(io)?;
        let len = file.len().map_err(io)?;
        let mut start = [0; 6];
        let n = (&mut file).take(6).read(&mut start).map_err(io)?;
        let contents = guarded(FORMAT, &path, || match &start[..n] == b"ARROW1" {
            true => of_file(&mut file, &path, len),
            false => of_stream(&mut file, &path, len),
        })??;
        let inside = |b: &Block| {
            let all = [b.offset(), b.metaDataLength().into(), b.bodyLength()];
            let sum = all.iter().try_fold(0u64, |sum, &n| sum.checked_add(u64::try_from(n).ok()?));
            sum.is_some_and(|end| end <= len)
        };
        let Contents { schema, version, dictionaries, batches } = contents;
        if !dictionaries.iter().chain(&batches).all(inside) {
            return Err(Error::format(FORMAT, &path, "it is cut short: a batch would lie behind its end"));
        }
        let (decoders, most) = (Mutex::new(vec![]), OnceLock::new());
        Ok(IpcSource { path, schema: Arc::new(schema), version, dictionaries, batches, decoders, most })
    }

    fn bad(&self, e: impl std::fmt::Display) -> Error {
        Error::format(FORMAT, &self.path, e)
    }

    /// A block of the file. Its compressed buffers do not claim to be larger than they can be.
    fn block(&self, file: &mut Input, block: &Block) -> Result<Buffer> {
        let io = |e| Error::io("reading", &self.path, e);
        let len = block.metaDataLength() as usize + block.bodyLength() as usize;
        let bytes = file.range(block.offset() as u64, len).map_err(io)?;
        if bytes.len() < len {
            return Err(self.bad("it became shorter while it was read"));
        }
        let (metadata, body) = bytes.split_at(block.metaDataLength() as usize);
        let message = message(metadata).map_err(|e| self.bad(e))?;
        for (start, length) in compressed(&message) {
            let prefix = body.get(start..).and_then(|b| b.get(..8)).and_then(|b| b.try_into().ok());
            if prefix.is_some_and(|p| claims(p) > length.saturating_mul(GROWTH)) {
                return Err(self.bad("a compressed buffer claims to be larger than it can be"));
            }
        }
        Ok(Buffer::from_vec(bytes))
    }

    fn decoder(&self, columns: &[usize], file: &mut Input) -> Result<Arc<FileDecoder>> {
        let mut known = self.decoders.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((_, decoder)) = known.iter().find(|(c, _)| c == columns) {
            return Ok(decoder.clone());
        }
        let mut decoder =
            FileDecoder::new(self.schema.clone(), self.version).with_projection(columns.to_vec());
        for block in &self.dictionaries {
            let bytes = self.block(file, block)?;
            guarded(FORMAT, &self.path, || decoder.read_dictionary(block, &bytes))?
                .map_err(|e| self.bad(e))?;
        }
        let decoder = Arc::new(decoder);
        known.push((columns.to_vec(), decoder.clone()));
        Ok(decoder)
    }

    /// Bytes that a block takes when it is read and decoded.
    fn block_bytes(&self, file: &mut Input, block: &Block) -> Option<usize> {
        let mut metadata = vec![0; block.metaDataLength() as usize];
        file.seek(SeekFrom::Start(block.offset() as u64)).ok()?;
        file.read_exact(&mut metadata).ok()?;
        let message = message(&metadata).ok()?;
        let mut all = block.bodyLength() as usize;
        for (start, length) in compressed(&message) {
            let mut prefix = [0; 8];
            let at = block.offset() as u64 + block.metaDataLength() as u64 + start as u64;
            file.seek(SeekFrom::Start(at)).ok()?;
            file.read_exact(&mut prefix).ok()?;
            all = all.saturating_add(claims(prefix).min(length.saturating_mul(GROWTH)));
        }
        Some(all)
    }
}

/// The message at the start of a block: after its length, and a mark that newer files have.
fn message(metadata: &[u8]) -> std::result::Result<Message<'_>, String> {
    let skipped = if metadata.starts_with(&[0xff; 4]) { 8 } else { 4 };
    let bytes = metadata.get(skipped..).ok_or("a message is cut short")?;
    root_as_message(bytes).map_err(|e| format!("a message cannot be read: {e}"))
}

/// Where the compressed buffers of a message's body are, and their lengths; none if it is not compressed.
fn compressed(message: &Message<'_>) -> Vec<(usize, usize)> {
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch(),
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch().and_then(|d| d.data()),
        _ => None,
    };
    let Some(batch) = batch.filter(|b| b.compression().is_some()) else { return vec![] };
    let buffers = batch.buffers().into_iter().flatten();
    buffers
        .filter_map(|b| Some((usize::try_from(b.offset()).ok()?, usize::try_from(b.length()).ok()?)))
        .filter(|(_, length)| *length >= 8)
        .collect()
}

/// The bytes that a compressed buffer says it decodes to; -1 says that it is as it is.
fn claims(prefix: [u8; 8]) -> usize {
    usize::try_from(i64::from_le_bytes(prefix)).unwrap_or(0)
}

fn of_file(file: &mut Input, path: &Path, len: u64) -> Result<Contents> {
    let io = |e| Error::io("reading", path, e);
    let bad = |e: String| Error::format(FORMAT, path, e);
    let mut end = [0; 10];
    if len < 18 {
        return Err(bad("it is cut short".into()));
    }
    file.seek(SeekFrom::End(-10)).map_err(io)?;
    file.read_exact(&mut end).map_err(io)?;
    let footer_len = read_footer_length(end).map_err(|e| bad(e.to_string()))? as u64;
    if footer_len + 18 > len {
        return Err(bad(format!("its footer would have {footer_len} bytes; it has {len}")));
    }
    let mut bytes = vec![0; footer_len as usize];
    file.seek(SeekFrom::Start(len - 10 - footer_len)).map_err(io)?;
    file.read_exact(&mut bytes).map_err(io)?;
    let footer = root_as_footer(&bytes).map_err(|e| bad(format!("its footer cannot be read: {e}")))?;
    let schema = footer.schema().ok_or_else(|| bad("it has no schema".into()))?;
    if !schema.endianness().equals_to_target_endianness() {
        return Err(bad("its numbers have the other byte order; rewrite it on this machine".into()));
    }
    Ok(Contents {
        schema: fb_to_schema(schema),
        version: footer.version(),
        dictionaries: footer.dictionaries().iter().flatten().copied().collect(),
        batches: footer.recordBatches().iter().flatten().copied().collect(),
    })
}

/// A stream has no footer: its messages are found one by one.
fn of_stream(file: &mut Input, path: &Path, len: u64) -> Result<Contents> {
    let io = |e| Error::io("reading", path, e);
    let bad = |e: &str| Error::format(FORMAT, path, e);
    let (mut dictionaries, mut batches, mut seen) = (vec![], vec![], std::collections::HashSet::new());
    let mut first: Option<(Schema, MetadataVersion)> = None;
    let mut at = 0u64;
    loop {
        let mut start = [0; 8];
        file.seek(SeekFrom::Start(at)).map_err(io)?;
        let n = (&mut *file).take(8).read(&mut start).map_err(io)?;
        if n < 8 || start == [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0] {
            break;
        }
        if start[..4] != [0xff; 4] {
            return Err(bad("neither a file nor a stream: a message does not start with its mark"));
        }
        let length = u32::from_le_bytes([start[4], start[5], start[6], start[7]]) as u64;
        if at + 8 + length > len {
            return Err(bad("it is cut short"));
        }
        let mut metadata = vec![0; length as usize];
        file.read_exact(&mut metadata).map_err(io)?;
        let message =
            root_as_message(&metadata).map_err(|e| bad(&format!("a message cannot be read: {e}")))?;
        let body = u64::try_from(message.bodyLength()).unwrap_or(u64::MAX);
        if body > len - (at + 8 + length) {
            return Err(bad("it is cut short"));
        }
        let block = Block::new(at as i64, (8 + length) as i32, body as i64);
        match message.header_type() {
            MessageHeader::Schema => {
                let schema = message.header_as_schema().ok_or_else(|| bad("its schema cannot be read"))?;
                if !schema.endianness().equals_to_target_endianness() {
                    return Err(bad("its numbers have the other byte order; rewrite it on this machine"));
                }
                first = Some((fb_to_schema(schema), message.version()));
            }
            MessageHeader::DictionaryBatch => {
                let batch = message.header_as_dictionary_batch();
                if batch.is_none_or(|b| !seen.insert(b.id())) {
                    return Err(bad("its dictionaries change on the way; rewrite it as a file"));
                }
                dictionaries.push(block);
            }
            MessageHeader::RecordBatch => batches.push(block),
            _ => {}
        }
        at += 8 + length + body;
    }
    let Some((schema, version)) = first else { return Err(bad("it has no schema")) };
    Ok(Contents { schema, version, dictionaries, batches })
}

impl BatchSource for IpcSource {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        file_label(&self.path)
    }

    fn parts(&self) -> usize {
        self.batches.len()
    }

    fn rows(&self) -> Option<usize> {
        None
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let mut file = Input::of(&self.path)?;
        let decoder = self.decoder(columns, &mut file)?;
        let block = &self.batches[part];
        let bytes = self.block(&mut file, block)?;
        let batch = guarded(FORMAT, &self.path, || decoder.read_record_batch(block, &bytes))?;
        let Some(batch) = batch.map_err(|e| self.bad(e))? else { return Ok(()) };
        if let Some(column) = batch.columns().iter().find(|c| c.len() != batch.num_rows()) {
            let (rows, values) = (batch.num_rows(), column.len());
            return Err(self.bad(format!("a batch of {rows} rows has {values} values")));
        }
        for at in (0..batch.num_rows()).step_by(PIECE) {
            if !each(batch.slice(at, PIECE.min(batch.num_rows() - at)))? {
                break;
            }
        }
        Ok(())
    }

    fn address(&self) -> Result<Option<TableAddress>> {
        table_of("ipc", &self.path, &self.schema, &[], vec![])
    }

    fn read_bytes(&self, _columns: &[usize]) -> usize {
        let most = || {
            let mut file = Input::open(&self.path).ok()?;
            let all = self.batches.iter().filter_map(|b| self.block_bytes(&mut file, b));
            Some(all.max().unwrap_or(0))
        };
        // of a file that cannot be read, reading says so
        (*self.most.get_or_init(|| most().unwrap_or(0))).max(1) + Input::held(&self.path)
    }
}

/// How the buffers of an Arrow IPC file are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IpcCompression {
    /// Not at all.
    None,
    /// Fast.
    #[default]
    Lz4,
    /// Smaller.
    Zstd,
}

/// How an Arrow IPC file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IpcOptions {
    /// How buffers are compressed.
    pub compression: IpcCompression,
}

/// An Arrow IPC file being written. Text that is stored as numbers into a dictionary is written as text, since a file has one dictionary.
pub struct IpcSink {
    path: PathBuf,
    schema: SchemaRef,
    writer: Mutex<Option<FileWriter<BufWriter<Draft>>>>,
}

impl std::fmt::Debug for IpcSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IpcSink({})", self.path.display())
    }
}

impl IpcSink {
    /// A file of columns of this schema.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: impl AsRef<Path>, schema: &Schema, options: IpcOptions) -> Result<IpcSink> {
        IpcSink::new(Draft::beside(path.as_ref())?, path.as_ref(), schema, options)
    }

    pub(in crate::io) fn new(
        draft: Draft,
        path: &Path,
        schema: &Schema,
        options: IpcOptions,
    ) -> Result<IpcSink> {
        let plain = |f: &Arc<Field>| match f.data_type() {
            DataType::Dictionary(_, values) => Field::new(f.name(), values.as_ref().clone(), f.is_nullable()),
            _ => f.as_ref().clone(),
        };
        let schema = Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()));
        let compression = match options.compression {
            IpcCompression::None => None,
            IpcCompression::Lz4 => Some(CompressionType::LZ4_FRAME),
            IpcCompression::Zstd => Some(CompressionType::ZSTD),
        };
        let fail = |e| written(path, e);
        let options = IpcWriteOptions::default().try_with_compression(compression).map_err(fail)?;
        let out = BufWriter::with_capacity(32 << 10, draft);
        let writer = FileWriter::try_new_with_options(out, &schema, options).map_err(fail)?;
        Ok(IpcSink { path: path.to_owned(), schema, writer: Mutex::new(Some(writer)) })
    }
}

impl BatchSink for IpcSink {
    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&self, batch: &RecordBatch) -> Result<()> {
        let fail = |e| written(&self.path, e);
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns =
            columns.map(|(c, f)| cast(c, f.data_type())).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(fail)?;
        match self.writer.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            Some(writer) => writer.write(&batch).map_err(fail),
            None => Err(Error::internal("a write after the end")),
        }
    }

    fn finish(&self) -> Result<()> {
        let writer = self.writer.lock().unwrap_or_else(|e| e.into_inner()).take();
        let Some(writer) = writer else { return Err(Error::internal("finished twice")) };
        let mut buffered = writer.into_inner().map_err(|e| written(&self.path, e))?;
        buffered.flush().map_err(|e| Error::io("writing", &self.path, e))?;
        let draft = buffered.into_inner().map_err(|e| Error::io("writing", &self.path, e.into_error()))?;
        draft.publish(&self.path)
    }
}
