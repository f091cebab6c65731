//! Keys of rows as numbers: what groups, joins and distinct rows have in common.
//!
//! Every key column becomes 32-bit codes: null is 0, a small number `v` is `v + 1`, and everything else (text, negative or large
//! numbers, floats) is numbered in order of first appearance by an [`Interner`]. A row's key is then a few words, whatever the
//! columns are, and two rows are equal if their words are. A dictionary is interned once, not per row.

use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::is_text;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, UInt32Array, make_array, new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, UInt64Type};
use hashbrown::HashTable;
use std::sync::{Arc, Mutex};

/// Codes from here on are interned.
const INTERNED: u32 = 1 << 31;
/// Keys below this index a table directly, as far as that is not much larger than the number of groups.
const DIRECT: u64 = 1 << 20;
pub(super) const NONE: u32 = u32::MAX;

/// Well mixed bits of a number.
fn mix(x: u64) -> u64 {
    let wide = u128::from(x ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xa076_1d64_78bd_642f_u64);
    (wide as u64) ^ (wide >> 64) as u64
}

fn mix_all(words: &[u64]) -> u64 {
    words.iter().fold(0, |h, &w| mix(h.rotate_left(23) ^ w))
}

fn mix_bytes(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut h = bytes.len() as u64;
    for w in &mut words {
        h = mix(h.rotate_left(23) ^ u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]));
    }
    let mut last = [0u8; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(h.rotate_left(23) ^ u64::from_le_bytes(last))
}

/// Values of one column, numbered in order of first appearance.
#[derive(Default)]
struct Interner {
    table: HashTable<u32>,
    /// Values that are numbers.
    numbers: Vec<u64>,
    /// Values that are text: one after the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Interner {
    fn number(&mut self, value: u64) -> u32 {
        let numbers = &mut self.numbers;
        let found = self.table.entry(mix(value), |&c| numbers[c as usize] == value, |&c| mix(numbers[c as usize]));
        match found {
            hashbrown::hash_table::Entry::Occupied(e) => *e.get(),
            hashbrown::hash_table::Entry::Vacant(e) => {
                let code = numbers.len() as u32;
                e.insert(code);
                numbers.push(value);
                code
            }
        }
    }

    fn text_of<'a>(text: &'a [u8], ends: &[usize], code: u32) -> &'a [u8] {
        let start = if code == 0 { 0 } else { ends[code as usize - 1] };
        &text[start..ends[code as usize]]
    }

    fn bytes(&mut self, value: &[u8]) -> u32 {
        let (text, ends) = (&mut self.text, &mut self.ends);
        let of = |c: &u32| Interner::text_of(text, ends, *c);
        match self.table.entry(mix_bytes(value), |c| of(c) == value, |c| mix_bytes(of(c))) {
            hashbrown::hash_table::Entry::Occupied(e) => *e.get(),
            hashbrown::hash_table::Entry::Vacant(e) => {
                let code = ends.len() as u32;
                e.insert(code);
                text.extend_from_slice(value);
                ends.push(text.len());
                code
            }
        }
    }

    /// The codes of texts: 0 for null, else one more than the number.
    fn texts(&mut self, array: &ArrayRef, codes: &mut Vec<u32>) -> Result<()> {
        let array = cast(array, &DataType::LargeUtf8).map_err(internal)?;
        codes.extend(array.as_string::<i64>().iter().map(|v| v.map_or(0, |v| self.bytes(v.as_bytes()) + 1)));
        if self.len() >= FOREIGN as usize - 1 { Err(too_many()) } else { Ok(()) }
    }

    fn find_number(&self, value: u64) -> Option<u32> {
        self.table.find(mix(value), |&c| self.numbers[c as usize] == value).copied()
    }

    fn find_bytes(&self, value: &[u8]) -> Option<u32> {
        let of = |c: &u32| Interner::text_of(&self.text, &self.ends, *c);
        self.table.find(mix_bytes(value), |c| of(c) == value).copied()
    }

    fn len(&self) -> usize {
        self.numbers.len().max(self.ends.len())
    }

    fn nbytes(&self) -> usize {
        8 * self.numbers.capacity() + self.text.capacity() + 8 * self.ends.capacity() + 5 * self.table.capacity()
    }
}

/// How a column's values become codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Coding {
    /// As 64-bit integers, of which small ones are their own code.
    Integer,
    /// As the bits of f64, of which all zeros are one and all NaN are one.
    Float,
    Text,
}

/// The values of dictionaries, numbered once for all that fold or look up the rows of one pipeline. Which worker numbers a dictionary
/// first has no influence on results: numbers are only compared.
#[derive(Default)]
struct Dictionaries {
    interner: Interner,
    /// Dictionaries seen lately, and the codes of their values.
    recent: Vec<(ArrayRef, Arc<Codes>)>,
}

/// The codes of a dictionary's values.
struct Codes {
    of: Vec<u32>,
    /// Whether the code of value `k` is `k + 1`, as for the first dictionary if no value comes twice.
    plain: bool,
}

/// Dictionaries that are remembered.
const RECENT: usize = 4;

impl Dictionaries {
    fn codes(&mut self, values: &ArrayRef) -> Result<Arc<Codes>> {
        if let Some((_, known)) = self.recent.iter().find(|(seen, _)| same_memory(seen, values)) {
            return Ok(known.clone());
        }
        let mut of = vec![];
        self.interner.texts(values, &mut of)?;
        let plain = of.iter().enumerate().all(|(k, &code)| code as usize == k + 1);
        let codes = Arc::new(Codes { of, plain });
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push((values.clone(), codes.clone()));
        Ok(codes)
    }
}

fn same_memory(a: &ArrayRef, b: &ArrayRef) -> bool {
    Arc::ptr_eq(a, b) || a.to_data().ptr_eq(&b.to_data())
}

/// The codes of one key column.
struct KeyColumn {
    data_type: DataType,
    coding: Coding,
    interner: Interner,
    /// Of a dictionary column: the numbers of values, which others share.
    shared: Option<Arc<Mutex<Dictionaries>>>,
    /// The dictionary seen last, and the codes of its values.
    dictionary: Option<(ArrayRef, Arc<Codes>)>,
    codes: Vec<u32>,
}

/// The code of values that a table does not have.
const FOREIGN: u32 = u32::MAX;

impl KeyColumn {
    fn new(data_type: &DataType) -> Result<KeyColumn> {
        let coding = match data_type {
            t if is_text(t) => Coding::Text,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Coding::Float,
            t if crate::expr::frame::kernel_dtype(t).is_some() => Coding::Integer,
            DataType::Null => Coding::Integer,
            other => {
                return Err(ErrorKind::Unsupported {
                    what: format!("a key of type {other}"),
                    hint: "cast it to text or a number".into(),
                }
                .into());
            }
        };
        let shared = matches!(data_type, DataType::Dictionary(..)).then(Arc::default);
        let (data_type, interner) = (data_type.clone(), Interner::default());
        Ok(KeyColumn { data_type, coding, interner, shared, dictionary: None, codes: vec![] })
    }

    /// A column of the same dictionaries, without rows.
    fn sibling(&self) -> KeyColumn {
        KeyColumn {
            data_type: self.data_type.clone(),
            coding: self.coding,
            interner: Interner::default(),
            shared: self.shared.clone(),
            dictionary: None,
            codes: vec![],
        }
    }

    /// Does something with the numbers of values.
    fn with_interner<R>(&self, f: impl FnOnce(&Interner) -> R) -> R {
        match &self.shared {
            Some(shared) => f(&shared.lock().unwrap_or_else(|e| e.into_inner()).interner),
            None => f(&self.interner),
        }
    }

    /// The codes of a column's rows, in `self.codes`.
    fn encode(&mut self, array: &ArrayRef) -> Result<()> {
        self.codes.clear();
        let Some(shared) = &self.shared else { return self.encode_plain(array) };
        let values = array.as_any_dictionary().values();
        if !self.dictionary.as_ref().is_some_and(|(seen, _)| same_memory(seen, values)) {
            let codes = shared.lock().unwrap_or_else(|e| e.into_inner()).codes(values)?;
            self.dictionary = Some((values.clone(), codes));
        }
        let Some((_, codes)) = &self.dictionary else { return Ok(()) };
        dictionary_codes(array, codes, &mut self.codes)
    }

    fn encode_plain(&mut self, array: &ArrayRef) -> Result<()> {
        let KeyColumn { coding, interner, codes, .. } = self;
        match coding {
            Coding::Text => interner.texts(array, codes)?,
            coding => {
                codes.reserve(array.len());
                let bits = as_bits(array, *coding)?;
                let values = bits.as_primitive::<UInt64Type>();
                let mut code = |v: u64| {
                    if v < u64::from(INTERNED) - 1 {
                        return v as u32 + 1;
                    }
                    INTERNED.wrapping_add(interner.number(v))
                };
                match values.nulls().filter(|n| n.null_count() > 0) {
                    None => codes.extend(values.values().iter().map(|&v| code(v))),
                    Some(_) => codes.extend(values.iter().map(|v| v.map_or(0, &mut code))),
                }
                if interner.len() >= (FOREIGN - INTERNED) as usize {
                    return Err(too_many());
                }
            }
        }
        Ok(())
    }

    /// The code that another column's code has here.
    fn translate(&mut self, other: &KeyColumn, code: u32) -> u32 {
        match self.coding {
            _ if code == 0 => 0,
            // siblings have the same numbers
            Coding::Text if self.shared.is_some() => code,
            Coding::Text => {
                self.interner.bytes(Interner::text_of(&other.interner.text, &other.interner.ends, code - 1)) + 1
            }
            _ if code < INTERNED => code,
            _ => INTERNED + self.interner.number(other.interner.numbers[(code - INTERNED) as usize]),
        }
    }

    /// Hashes of the values that are interned here; none if codes mean the same in all siblings.
    fn content(&self) -> Option<Vec<u64>> {
        let i = &self.interner;
        match self.coding {
            Coding::Text if self.shared.is_some() => None,
            Coding::Text => {
                Some((0..i.ends.len()).map(|c| mix_bytes(Interner::text_of(&i.text, &i.ends, c as u32))).collect())
            }
            _ => Some(i.numbers.iter().map(|&n| mix(n)).collect()),
        }
    }

    /// The values that codes stand for.
    fn decode(&self, codes: &[u32]) -> Result<ArrayRef> {
        if self.data_type == DataType::Null {
            return Ok(new_null_array(&DataType::Null, codes.len()));
        }
        match self.coding {
            Coding::Text => {
                let values: arrow::array::LargeStringArray = self.with_interner(|i| {
                    let of = |c: usize| std::str::from_utf8(Interner::text_of(&i.text, &i.ends, c as u32));
                    (0..i.ends.len()).map(|c| Some(of(c).unwrap_or_default())).collect()
                });
                let places: UInt32Array = codes.iter().map(|&c| c.checked_sub(1)).collect();
                let values = cast(&values, &text_type(&self.data_type)).map_err(internal)?;
                cast(&take(&values, &places, None).map_err(internal)?, &self.data_type).map_err(internal)
            }
            coding => {
                let of = |c: u32| match c {
                    0 => None,
                    c if c < INTERNED => Some(u64::from(c - 1)),
                    c => Some(self.interner.numbers[(c - INTERNED) as usize]),
                };
                let bits: arrow::array::UInt64Array = codes.iter().map(|&c| of(c)).collect();
                from_bits(&bits, coding, &self.data_type)
            }
        }
    }
}

fn text_type(t: &DataType) -> DataType {
    match t {
        DataType::Dictionary(_, v) => text_type(v),
        other => other.clone(),
    }
}

fn internal(e: arrow::error::ArrowError) -> Error {
    Error::internal(e.to_string())
}

fn too_many() -> Error {
    ErrorKind::Unsupported {
        what: "a key with more than 2^31 different values".into(),
        hint: "group by something coarser first".into(),
    }
    .into()
}

/// Values as 64-bit patterns: integers sign-extended, floats as f64 with one zero and one NaN.
fn as_bits(array: &ArrayRef, coding: Coding) -> Result<ArrayRef> {
    use arrow::datatypes::{Float64Type, Int64Type};
    if coding == Coding::Float {
        let floats = cast(array, &DataType::Float64).map_err(internal)?;
        let bits = floats.as_primitive::<Float64Type>().unary::<_, UInt64Type>(|v| {
            if v.is_nan() { f64::NAN.to_bits() } else { (v + 0.0).to_bits() }
        });
        return Ok(Arc::new(bits));
    }
    if matches!(array.data_type(), DataType::UInt64) {
        return Ok(array.clone());
    }
    let narrow = matches!(array.data_type(), DataType::Date32 | DataType::Time32(_));
    let array = if narrow { cast(array, &DataType::Int32).map_err(internal)? } else { array.clone() };
    let integers = cast(&array, &DataType::Int64).map_err(internal)?;
    // the same bytes
    Ok(Arc::new(same_bytes::<Int64Type, UInt64Type>(integers.as_primitive())))
}

/// The bytes of 64-bit values as values of another 64-bit type.
fn same_bytes<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(array: &PrimitiveArray<A>) -> PrimitiveArray<B> {
    debug_assert_eq!(size_of::<A::Native>(), size_of::<B::Native>());
    PrimitiveArray::new(array.values().inner().clone().into(), array.nulls().cloned())
}

fn from_bits(bits: &arrow::array::UInt64Array, coding: Coding, to: &DataType) -> Result<ArrayRef> {
    use arrow::datatypes::{Float64Type, Int64Type};
    if coding == Coding::Float {
        let floats: ArrayRef = Arc::new(same_bytes::<UInt64Type, Float64Type>(bits));
        return cast(&floats, to).map_err(internal);
    }
    if *to == DataType::UInt64 {
        return Ok(Arc::new(bits.clone()));
    }
    let integers: ArrayRef = Arc::new(same_bytes::<UInt64Type, Int64Type>(bits));
    let narrow = matches!(to, DataType::Date32 | DataType::Time32(_));
    let integers = if narrow { cast(&integers, &DataType::Int32).map_err(internal)? } else { integers };
    cast(&integers, to).map_err(internal)
}

/// Different keys of rows, numbered in order of first appearance.
pub(super) struct Keys {
    columns: Vec<KeyColumn>,
    /// Words of a key: two codes each.
    words: usize,
    table: HashTable<u32>,
    /// By a key of one word that is small: its number, or `NONE`.
    direct: Vec<u32>,
    /// The keys, `words` each.
    keys: Vec<u64>,
    count: usize,
    row: Vec<u64>,
}

impl Keys {
    /// Of columns of these types.
    pub fn new(types: impl IntoIterator<Item = DataType>) -> Result<Keys> {
        let columns = types.into_iter().map(|t| KeyColumn::new(&t)).collect::<Result<Vec<_>>>()?;
        let words = columns.len().div_ceil(2);
        Ok(Keys { columns, words, table: HashTable::new(), direct: vec![], keys: vec![], count: 0, row: vec![] })
    }

    /// No keys yet, of the same columns; numbers of dictionary values are shared.
    pub fn sibling(&self) -> Keys {
        let columns = self.columns.iter().map(KeyColumn::sibling).collect();
        let (table, words) = (HashTable::new(), self.words);
        Keys { columns, words, table, direct: vec![], keys: vec![], count: 0, row: vec![] }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|c| c.interner.nbytes() + 4 * c.codes.capacity()).sum();
        columns + 5 * self.table.capacity() + 4 * self.direct.capacity() + 8 * self.keys.capacity()
    }

    /// The number of every row's key, new ones added.
    pub fn number(&mut self, columns: &[ArrayRef], slots: &mut [u32]) -> Result<()> {
        for (column, array) in self.columns.iter_mut().zip(columns) {
            column.encode(array)?;
        }
        if self.words == 0 {
            slots.fill(0);
            self.count = self.count.max(usize::from(!slots.is_empty()));
            return Ok(());
        }
        // codes are borrowed while keys are added
        let codes: Vec<Vec<u32>> = self.columns.iter_mut().map(|c| std::mem::take(&mut c.codes)).collect();
        match codes.as_slice() {
            [a] => slots.iter_mut().zip(a).for_each(|(s, &a)| *s = self.word(u64::from(a))),
            [a, b] => {
                slots.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (&a, &b))| *s = self.word(pair(a, b)));
            }
            many => {
                for (i, slot) in slots.iter_mut().enumerate() {
                    self.row.clear();
                    self.row.extend(many.chunks(2).map(|two| pair(two[0][i], two.get(1).map_or(0, |b| b[i]))));
                    *slot = self.insert();
                }
            }
        }
        for (column, codes) in self.columns.iter_mut().zip(codes) {
            column.codes = codes;
        }
        Ok(())
    }

    /// The number of every row's key; `NONE` for keys that are not there, and for those with a null.
    pub fn find(&self, encoder: &mut Encoder, columns: &[ArrayRef], slots: &mut Vec<u32>) -> Result<()> {
        encoder.encode(self, columns)?;
        slots.clear();
        let rows = columns.first().map_or(0, |c| c.len());
        let codes = &encoder.codes;
        for i in 0..rows {
            if codes.iter().any(|c| c[i] == 0 || c[i] == FOREIGN) {
                slots.push(NONE);
                continue;
            }
            encoder.row.clear();
            encoder.row.extend(codes.chunks(2).map(|two| pair(two[0][i], two.get(1).map_or(0, |b| b[i]))));
            slots.push(self.get(&encoder.row));
        }
        Ok(())
    }

    /// The numbers here of some of another's keys, new ones added, in their order.
    pub fn merge(&mut self, other: &Keys, numbers: impl ExactSizeIterator<Item = u32>) -> Vec<u32> {
        if self.words == 0 {
            self.count = self.count.max(other.count);
            return vec![0; numbers.len()];
        }
        // text is looked up once, not for every key that it is part of
        let mut translated: Vec<hashbrown::HashMap<u32, u32, Mixer>> =
            self.columns.iter().map(|_| hashbrown::HashMap::default()).collect();
        let mut out = Vec::with_capacity(numbers.len());
        for number in numbers {
            let key = other.key(number);
            self.row.clear();
            self.row.resize(self.words, 0);
            for (c, (column, known)) in self.columns.iter_mut().zip(&mut translated).enumerate() {
                let code = code_of(key, c);
                let own = match column.coding {
                    Coding::Text if column.shared.is_none() => {
                        *known.entry(code).or_insert_with(|| column.translate(&other.columns[c], code))
                    }
                    _ => column.translate(&other.columns[c], code),
                };
                self.row[c / 2] |= u64::from(own) << (32 * (c % 2));
            }
            out.push(if self.words == 1 { self.word(self.row[0]) } else { self.insert() });
        }
        out
    }

    fn key(&self, number: u32) -> &[u64] {
        &self.keys[number as usize * self.words..][..self.words]
    }

    /// The numbers of the keys by a hash of what they stand for, which is the same in all siblings: `parts` lists, each in order.
    pub fn partition(&self, parts: usize) -> Vec<Vec<u32>> {
        let mut lists = vec![Vec::with_capacity(self.count / parts + 16); parts];
        // interned text and numbers by their content, which their codes do not show
        let hashes: Vec<Option<Vec<u64>>> = self.columns.iter().map(KeyColumn::content).collect();
        for number in 0..self.count as u32 {
            let key = self.key(number);
            let mut h = 0u64;
            for (c, content) in hashes.iter().enumerate() {
                let code = code_of(key, c);
                let word = match content {
                    Some(hashes) if self.columns[c].coding == Coding::Text && code > 0 => hashes[code as usize - 1],
                    Some(hashes) if code >= INTERNED => hashes[(code - INTERNED) as usize],
                    _ => u64::from(code),
                };
                h = mix(h.rotate_left(23) ^ word);
            }
            lists[(h >> 32) as usize % parts].push(number);
        }
        lists
    }

    /// The columns of the keys, in order of their numbers.
    pub fn columns(&self) -> Result<Vec<ArrayRef>> {
        let of = |(c, column): (usize, &KeyColumn)| {
            let codes: Vec<u32> =
                (0..self.count).map(|n| code_of(&self.keys[n * self.words..][..self.words], c)).collect();
            column.decode(&codes)
        };
        self.columns.iter().enumerate().map(of).collect()
    }

    /// The number of a key of one word.
    #[inline]
    fn word(&mut self, key: u64) -> u32 {
        if let Some(&slot) = self.direct.get(key as usize)
            && slot != NONE
        {
            return slot;
        }
        self.word_slow(key)
    }

    fn word_slow(&mut self, key: u64) -> u32 {
        let roomy = (16 * self.count as u64).clamp(1 << 16, DIRECT);
        if key < roomy && key as usize >= self.direct.len() {
            let old = self.direct.len();
            self.direct.resize((key as usize + 1).next_power_of_two().max(1024), NONE);
            // keys that were hashed while the table was shorter
            for number in 0..self.count {
                let k = self.keys[number] as usize;
                if k >= old && k < self.direct.len() {
                    self.direct[k] = number as u32;
                }
            }
            if self.direct[key as usize] != NONE {
                return self.direct[key as usize];
            }
        }
        if let Some(slot) = self.direct.get_mut(key as usize) {
            *slot = self.count as u32;
            self.keys.push(key);
            self.count += 1;
            return *slot;
        }
        let (keys, count) = (&mut self.keys, &mut self.count);
        match self.table.entry(mix(key), |&n| keys[n as usize] == key, |&n| mix(keys[n as usize])) {
            hashbrown::hash_table::Entry::Occupied(e) => *e.get(),
            hashbrown::hash_table::Entry::Vacant(e) => {
                let number = *count as u32;
                e.insert(number);
                keys.push(key);
                *count += 1;
                number
            }
        }
    }

    /// The number of the key in `self.row`.
    fn insert(&mut self) -> u32 {
        let (keys, words, row) = (&mut self.keys, self.words, &self.row);
        let of = |n: &u32, keys: &[u64]| mix_all(&keys[*n as usize * words..][..words]);
        let entry = self.table.entry(
            mix_all(row),
            |&n| keys[n as usize * words..][..words] == row[..],
            |n| of(n, keys),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(e) => *e.get(),
            hashbrown::hash_table::Entry::Vacant(e) => {
                let number = self.count as u32;
                e.insert(number);
                keys.extend_from_slice(row);
                self.count += 1;
                number
            }
        }
    }

    fn get(&self, row: &[u64]) -> u32 {
        let words = self.words;
        if let [key] = row {
            if let Some(&slot) = self.direct.get(*key as usize) {
                return slot;
            }
            return self.table.find(mix(*key), |&n| self.keys[n as usize] == *key).copied().unwrap_or(NONE);
        }
        let same = |&n: &u32| self.keys[n as usize * words..][..words] == *row;
        self.table.find(mix_all(row), same).copied().unwrap_or(NONE)
    }
}

/// What a thread needs to look keys up.
#[derive(Default)]
pub(super) struct Encoder {
    columns: Vec<KeyColumnView>,
    codes: Vec<Vec<u32>>,
    row: Vec<u64>,
}

/// The codes of the dictionary that a thread saw last.
#[derive(Default)]
struct KeyColumnView {
    dictionary: Option<(ArrayRef, Codes)>,
}

impl Encoder {
    fn encode(&mut self, keys: &Keys, columns: &[ArrayRef]) -> Result<()> {
        self.columns.resize_with(keys.columns.len(), KeyColumnView::default);
        self.codes.clear();
        for ((column, view), array) in keys.columns.iter().zip(&mut self.columns).zip(columns) {
            // a column that only looks: shares the values of the table's
            self.codes.push(column.look_up(view, array)?);
        }
        Ok(())
    }
}

impl KeyColumn {
    /// Codes without adding any.
    fn look_up(&self, view: &mut KeyColumnView, array: &ArrayRef) -> Result<Vec<u32>> {
        if self.shared.is_none() {
            return self.look_up_plain(array);
        }
        let values = array.as_any_dictionary().values();
        if !view.dictionary.as_ref().is_some_and(|(seen, _)| same_memory(seen, values)) {
            let codes = Codes { of: self.look_up_plain(values)?, plain: false };
            view.dictionary = Some((values.clone(), codes));
        }
        let mut out = vec![];
        if let Some((_, codes)) = &view.dictionary {
            dictionary_codes(array, codes, &mut out)?;
        }
        Ok(out)
    }

    fn look_up_plain(&self, array: &ArrayRef) -> Result<Vec<u32>> {
        if self.coding == Coding::Text {
            let array = cast(array, &DataType::LargeUtf8).map_err(internal)?;
            return Ok(self.with_interner(|i| {
                let code = |v: &str| i.find_bytes(v.as_bytes()).map_or(FOREIGN, |c| c + 1);
                array.as_string::<i64>().iter().map(|v| v.map_or(0, code)).collect()
            }));
        }
        let bits = as_bits(array, self.coding)?;
        let code = |v: u64| match v < u64::from(INTERNED) - 1 {
            true => v as u32 + 1,
            false => self.interner.find_number(v).map_or(FOREIGN, |c| INTERNED + c),
        };
        Ok(bits.as_primitive::<UInt64Type>().iter().map(|v| v.map_or(0, code)).collect())
    }
}

/// The codes of the rows of a dictionary column, given those of its values.
fn dictionary_codes(array: &ArrayRef, codes: &Codes, out: &mut Vec<u32>) -> Result<()> {
    let keys = make_array(array.as_any_dictionary().keys().to_data());
    let keys = if *keys.data_type() == DataType::Int32 { keys } else { cast(&keys, &DataType::Int32).map_err(internal)? };
    let keys = keys.as_primitive::<arrow::datatypes::Int32Type>();
    match (keys.nulls().filter(|n| n.null_count() > 0), codes.plain) {
        (None, true) => out.extend(keys.values().iter().map(|&k| k as u32 + 1)),
        (None, false) => out.extend(keys.values().iter().map(|&k| codes.of[k as usize])),
        (Some(_), _) => out.extend(keys.iter().map(|k| k.map_or(0, |k| codes.of[k as usize]))),
    }
    Ok(())
}

/// Hashes codes.
#[derive(Clone, Copy, Default)]
pub(super) struct Mixer;

impl std::hash::BuildHasher for Mixer {
    type Hasher = MixHasher;
    fn build_hasher(&self) -> MixHasher {
        MixHasher(0)
    }
}

pub(super) struct MixHasher(u64);

impl std::hash::Hasher for MixHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0 ^ mix_bytes(bytes));
    }
    fn write_u32(&mut self, x: u32) {
        self.0 = mix(u64::from(x));
    }
}

fn pair(a: u32, b: u32) -> u64 {
    u64::from(a) | u64::from(b) << 32
}

fn code_of(key: &[u64], column: usize) -> u32 {
    (key[column / 2] >> (32 * (column % 2))) as u32
}
