//! The codes of one key column.

use super::INTERNED;
use super::intern::{Interner, mix, mix_bytes};
use crate::error::{Error, ErrorKind, Result};
use crate::expr::frame::is_text;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, DictionaryArray, Int32Array, LargeStringArray,
    PrimitiveArray, StringArray, make_array, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int32Type, UInt64Type};
use std::sync::{Arc, Mutex};

/// How a column's values become codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// As 64-bit integers, of which small ones are their own code.
    Integer,
    /// As the bits of f64, of which all zeros are one and all NaN are one.
    Float,
    /// As text; decimals of more digits than an integer has are written.
    Text,
}

/// The values of dictionaries, numbered once for all that fold or look up the rows of one pipeline. Which worker numbers a dictionary
/// first has no influence on results: numbers are only compared.
#[derive(Default)]
pub struct Dictionaries {
    interner: Interner,
    /// Dictionaries seen lately, and the codes of their values.
    recent: Vec<(ArrayRef, Arc<Codes>)>,
    /// The numbered values as a column, as far as it was made.
    column: Option<ArrayRef>,
}

/// The codes of a dictionary's values.
pub struct Codes {
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

impl Dictionaries {
    /// The values in the order of their numbers.
    fn values(&mut self) -> Result<ArrayRef> {
        let i = &self.interner;
        if let Some(made) = self.column.as_ref().filter(|c| c.len() == i.ends.len()) {
            return Ok(made.clone());
        }
        let of =
            |c: usize| std::str::from_utf8(Interner::text_of(&i.text, &i.ends, c as u32)).unwrap_or_default();
        if i.text.len() > i32::MAX as usize {
            return Err(too_many());
        }
        let made: ArrayRef = Arc::new(StringArray::from_iter_values((0..i.ends.len()).map(of)));
        Ok(self.column.insert(made).clone())
    }
}

fn same_memory(a: &ArrayRef, b: &ArrayRef) -> bool {
    Arc::ptr_eq(a, b) || a.to_data().ptr_eq(&b.to_data())
}

/// The codes of one key column.
pub struct KeyColumn {
    data_type: DataType,
    pub coding: Coding,
    pub interner: Interner,
    /// Of a dictionary column: the numbers of values, which others share.
    pub shared: Option<Arc<Mutex<Dictionaries>>>,
    /// The dictionary seen last, and the codes of its values.
    dictionary: Option<(ArrayRef, Arc<Codes>)>,
    pub codes: Vec<u32>,
}

/// Whether values are decimals that 64 bits do not hold.
fn is_long(t: &DataType) -> bool {
    t.is_decimal() && !matches!(t, DataType::Decimal128(0..=18, _))
}

/// The same digits without a scale, which texts of any scale can be made of and into.
fn digits(t: &DataType) -> DataType {
    match t {
        DataType::Decimal32(..) => DataType::Decimal32(9, 0),
        DataType::Decimal64(..) => DataType::Decimal64(18, 0),
        DataType::Decimal128(..) => DataType::Decimal128(38, 0),
        DataType::Decimal256(..) => DataType::Decimal256(76, 0),
        other => other.clone(),
    }
}

/// The bits of an array as another type of the same storage.
fn read_as(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    let data = array.to_data().into_builder().data_type(to.clone()).build().map_err(internal)?;
    Ok(make_array(data))
}

/// The code of values that a table does not have.
pub const FOREIGN: u32 = u32::MAX;

impl KeyColumn {
    pub fn new(data_type: &DataType) -> Result<KeyColumn> {
        let coding = match data_type {
            t if is_text(t) || is_long(t) => Coding::Text,
            DataType::Decimal128(..) => Coding::Integer,
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
    pub fn sibling(&self) -> KeyColumn {
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
    pub fn encode(&mut self, array: &ArrayRef) -> Result<()> {
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
            Coding::Text => interner.texts(&read_as(array, &digits(array.data_type()))?, codes)?,
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

    /// The codes that another column's codes have here.
    pub fn translate(&mut self, other: &KeyColumn, mut codes: Vec<u32>) -> Vec<u32> {
        // siblings have the same numbers, and small numbers are their own codes
        if self.shared.is_some() || other.interner.len() == 0 {
            return codes;
        }
        let (first, text) = if self.coding == Coding::Text { (1, true) } else { (INTERNED, false) };
        // what is interned is looked up once, not for every key that it is part of
        let mut known = vec![FOREIGN; other.interner.len()];
        for code in codes.iter_mut().filter(|c| **c >= first) {
            let k = *code - first;
            let here = &mut known[k as usize];
            if *here == FOREIGN {
                *here = first
                    + match text {
                        true => self.interner.bytes(Interner::text_of(
                            &other.interner.text,
                            &other.interner.ends,
                            k,
                        )),
                        false => self.interner.number(other.interner.numbers[k as usize]),
                    };
            }
            *code = *here;
        }
        codes
    }

    /// Hashes of the values that are interned: unlike their codes, they do not depend on who came first.
    pub fn content(&self) -> Vec<u64> {
        match self.coding {
            Coding::Text => self.with_interner(|i| {
                (0..i.ends.len()).map(|c| mix_bytes(Interner::text_of(&i.text, &i.ends, c as u32))).collect()
            }),
            _ => self.interner.numbers.iter().map(|&n| mix(n)).collect(),
        }
    }

    /// The values that codes stand for.
    pub fn decode(&self, codes: &[u32]) -> Result<ArrayRef> {
        if self.data_type == DataType::Null {
            return Ok(new_null_array(&DataType::Null, codes.len()));
        }
        match self.coding {
            Coding::Text => match &self.shared {
                Some(shared) => {
                    let values = shared.lock().unwrap_or_else(|e| e.into_inner()).values()?;
                    with_dictionary(codes, &values, &self.data_type)
                }
                None => {
                    let i = &self.interner;
                    let of = |c: u32| {
                        std::str::from_utf8(Interner::text_of(&i.text, &i.ends, c)).unwrap_or_default()
                    };
                    let texts: LargeStringArray = codes.iter().map(|&c| c.checked_sub(1).map(of)).collect();
                    let digits = cast(&texts, &digits(&self.data_type)).map_err(internal)?;
                    read_as(&digits, &self.data_type)
                }
            },
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

/// A dictionary column of these codes.
fn with_dictionary(codes: &[u32], values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let keys: Int32Array = codes.iter().map(|&c| c.checked_sub(1).map(|k| k as i32)).collect();
    let array = DictionaryArray::<Int32Type>::try_new(keys, values.clone()).map_err(internal)?;
    let array: ArrayRef = Arc::new(array);
    if array.data_type() == data_type {
        return Ok(array);
    }
    cast(&array, data_type).map_err(|_| {
        let what = format!("a key of type {data_type} with {} different values", values.len());
        ErrorKind::Unsupported { what, hint: "cast it to text, or to a dictionary with wider numbers".into() }
            .into()
    })
}

/// Parts of a column with one dictionary for all, if they are dictionaries; numbers of values are then the same everywhere.
pub(in super::super) fn one_dictionary(parts: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let Some(DataType::Dictionary(_, values)) = parts.first().map(|p| p.data_type()) else {
        return Ok(parts.to_vec());
    };
    let first = parts[0].as_any_dictionary().values();
    if !is_text(values) || parts.iter().all(|p| same_memory(p.as_any_dictionary().values(), first)) {
        return Ok(parts.to_vec());
    }
    let mut all = Dictionaries::default();
    let mut rows: Vec<Vec<u32>> = vec![];
    for part in parts {
        let codes = all.codes(part.as_any_dictionary().values())?;
        let mut of_rows = vec![];
        dictionary_codes(part, &codes, &mut of_rows)?;
        rows.push(of_rows);
    }
    let values = all.values()?;
    let made = rows.iter().map(|codes| with_dictionary(codes, &values, parts[0].data_type()));
    // keys of few bits may number the values of each part but not of all
    Ok(made.collect::<Result<Vec<_>>>().unwrap_or_else(|_| parts.to_vec()))
}

pub fn internal(e: arrow::error::ArrowError) -> Error {
    Error::internal(e.to_string())
}

pub fn too_many() -> Error {
    ErrorKind::Unsupported {
        what: "a key with more than 2^31 different values".into(),
        hint: "group by something coarser first".into(),
    }
    .into()
}

/// A hash of every row's keys by what they stand for: the same in all batches and, for equal keys, in columns of other storage.
pub(in super::super) fn content_hashes(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let mut all = vec![0u64; rows];
    for column in columns {
        let add = |h: &mut u64, of: u64| *h = mix(h.rotate_left(23) ^ of);
        if is_text(column.data_type()) || is_long(column.data_type()) {
            // a dictionary's values are hashed once
            let (values, keys) = match column.as_any_dictionary_opt() {
                Some(d) if !d.values().is_empty() => (d.values(), Some(d.normalized_keys())),
                _ => (column, None),
            };
            let texts = cast(values, &DataType::LargeUtf8).map_err(internal)?;
            let hash = |v: Option<&str>| v.map_or(0, |v| mix_bytes(v.as_bytes()));
            let hashes: Vec<u64> = texts.as_string::<i64>().iter().map(hash).collect();
            let nulls = column.nulls();
            for (i, h) in all.iter_mut().enumerate() {
                let valid = nulls.is_none_or(|n| n.is_valid(i));
                add(h, if valid { hashes[keys.as_ref().map_or(i, |k| k[i])] } else { 0 });
            }
        } else {
            let coding = KeyColumn::new(column.data_type())?.coding;
            let bits = as_bits(column, coding)?;
            let values = bits.as_primitive::<UInt64Type>().iter();
            all.iter_mut().zip(values).for_each(|(h, v)| add(h, v.map_or(0, mix)));
        }
    }
    Ok(all)
}

/// Values as 64-bit patterns: integers sign-extended, floats as f64 with one zero and one NaN.
fn as_bits(array: &ArrayRef, coding: Coding) -> Result<ArrayRef> {
    use arrow::datatypes::{Float64Type, Int64Type};
    if coding == Coding::Float {
        let floats = cast(array, &DataType::Float64).map_err(internal)?;
        let bits = floats
            .as_primitive::<Float64Type>()
            .unary::<_, UInt64Type>(|v| if v.is_nan() { f64::NAN.to_bits() } else { (v + 0.0).to_bits() });
        return Ok(Arc::new(bits));
    }
    if matches!(array.data_type(), DataType::UInt64) {
        return Ok(array.clone());
    }
    if let Some(decimals) = array.as_primitive_opt::<Decimal128Type>() {
        return Ok(Arc::new(decimals.unary::<_, UInt64Type>(|v| v as u64)));
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
    if let DataType::Decimal128(..) = to {
        let decimals = bits.unary::<_, Decimal128Type>(|v| i128::from(v as i64));
        return Ok(Arc::new(decimals.with_data_type(to.clone())));
    }
    let integers: ArrayRef = Arc::new(same_bytes::<UInt64Type, Int64Type>(bits));
    let narrow = matches!(to, DataType::Date32 | DataType::Time32(_));
    let integers = if narrow { cast(&integers, &DataType::Int32).map_err(internal)? } else { integers };
    cast(&integers, to).map_err(internal)
}

/// The codes of the dictionary that a thread saw last.
#[derive(Default)]
pub struct KeyColumnView {
    dictionary: Option<(ArrayRef, Codes)>,
}

impl KeyColumn {
    /// Codes without adding any.
    pub fn look_up(&self, view: &mut KeyColumnView, array: &ArrayRef) -> Result<Vec<u32>> {
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
            let array =
                cast(&read_as(array, &digits(array.data_type()))?, &DataType::LargeUtf8).map_err(internal)?;
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
        let values = bits.as_primitive::<UInt64Type>();
        Ok(match values.nulls().filter(|n| n.null_count() > 0) {
            None => values.values().iter().map(|&v| code(v)).collect(),
            Some(_) => values.iter().map(|v| v.map_or(0, code)).collect(),
        })
    }
}

/// The codes of the rows of a dictionary column, given those of its values.
fn dictionary_codes(array: &ArrayRef, codes: &Codes, out: &mut Vec<u32>) -> Result<()> {
    let keys = make_array(array.as_any_dictionary().keys().to_data());
    let keys = if *keys.data_type() == DataType::Int32 {
        keys
    } else {
        cast(&keys, &DataType::Int32).map_err(internal)?
    };
    let keys = keys.as_primitive::<arrow::datatypes::Int32Type>();
    match (keys.nulls().filter(|n| n.null_count() > 0), codes.plain) {
        (None, true) => out.extend(keys.values().iter().map(|&k| k as u32 + 1)),
        (None, false) => out.extend(keys.values().iter().map(|&k| codes.of[k as usize])),
        (Some(_), _) => out.extend(keys.iter().map(|k| k.map_or(0, |k| codes.of[k as usize]))),
    }
    Ok(())
}
