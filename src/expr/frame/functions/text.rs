//! Functions of text.

use super::texts::{Texts, bytes, list_of_texts, map_text, plain, split, write_text};
use super::{Argument, builtins, constant, failed, of_text, texts, whole};
use crate::error::Result;
use crate::expr::frame::MANY;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array};
use arrow::datatypes::DataType;
use regex::Regex;
use std::sync::Arc;

fn capitalized(s: &str) -> String {
    let mut chars = s.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars.flat_map(char::to_lowercase)).collect()
}

/// Every run of letters and digits capitalized.
fn titled(s: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match inside {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
        inside = c.is_alphanumeric();
    }
    out
}

fn swapped(s: &str) -> String {
    let swap = |c: char| -> String {
        if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
    };
    s.chars().map(swap).collect()
}

/// Texts filled up to a width, on the left and on the right by shares; the last two arguments are the width and the character.
fn pad(x: &[Argument], op: &'static str, left: fn(usize) -> usize) -> Result<ArrayRef> {
    let (width, fill) = (whole(&x[1], op)?, constant(&x[2], op)?.unwrap_or_default());
    write_text(&x[0], op, |s, out| {
        let lacking = lacking(s, width);
        let before = left(lacking);
        out.repeat(fill, before)?;
        out.write(s)?;
        out.repeat(fill, lacking - before)
    })
}

/// How many characters a text has fewer than a width.
fn lacking(s: &str, width: i64) -> usize {
    usize::try_from(width).unwrap_or(0).saturating_sub(s.chars().count())
}

/// The character at which a byte is.
fn character(s: &str, byte: usize) -> i32 {
    s[..byte].chars().count() as i32
}

fn all_chars(s: &str, is: fn(char) -> bool) -> Option<bool> {
    Some(!s.is_empty() && s.chars().all(is))
}

/// Whether letters have one case: there is one that has it, and none that has the other.
fn one_case(s: &str, this: fn(char) -> bool, other: fn(char) -> bool) -> Option<bool> {
    Some(s.chars().any(this) && !s.chars().any(other))
}

fn expression(pattern: &Argument, op: &str) -> Result<Regex> {
    Regex::new(constant(pattern, op)?.unwrap_or_default()).map_err(|e| failed(op, e))
}

type Matcher = fn(
    &dyn arrow::array::Datum,
    &dyn arrow::array::Datum,
) -> std::result::Result<BooleanArray, arrow::error::ArrowError>;

fn matches(x: &[Argument], f: Matcher) -> Result<ArrayRef> {
    Ok(Arc::new(f(&plain(&x[0])?, &plain(&x[1])?).map_err(|e| failed("str", e))?))
}

builtins! {
    UPPER(1) = "str.to_uppercase", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], "str.to_uppercase", |s| Some(s.to_uppercase()));
    LOWER(1) = "str.to_lowercase", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], "str.to_lowercase", |s| Some(s.to_lowercase()));
    CAPITALIZE(1) = "str.capitalize", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], "str.capitalize", |s| Some(capitalized(s)));
    TITLE(1) = "str.to_titlecase", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], "str.to_titlecase", |s| Some(titled(s)));
    SWAPCASE(1) = "str.swapcase", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], "str.swapcase", |s| Some(swapped(s)));
    REVERSE(1) = "str.reverse", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], "str.reverse", |s| Some(s.chars().rev().collect()));
    TRIM(1) = "str.trim", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], "str.trim", |s| Some(s.trim().to_owned()));
    TRIM_START(1) = "str.trim_start", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], "str.trim_start", |s| Some(s.trim_start().to_owned()));
    TRIM_END(1) = "str.trim_end", |t| texts(t, DataType::Utf8), |x| map_text(&x[0], "str.trim_end", |s| Some(s.trim_end().to_owned()));
    LEN(1) = "str.len_chars", |t| texts(t, DataType::Int32), |x| of_text::<Int32Array, _>(&x[0], |s| Some(s.chars().count() as i32));
    BYTES(1) = "str.len_bytes", |t| texts(t, DataType::Int32), |x| of_text::<Int32Array, _>(&x[0], |s| Some(s.len() as i32));
    IS_ALPHABETIC(1) = "str.is_alphabetic", |t| texts(t, DataType::Boolean), |x| of_text::<BooleanArray, _>(&x[0], |s| all_chars(s, char::is_alphabetic));
    IS_NUMERIC(1) = "str.is_numeric", |t| texts(t, DataType::Boolean), |x| of_text::<BooleanArray, _>(&x[0], |s| all_chars(s, char::is_numeric));
    IS_DIGIT(1) = "str.is_digit", |t| texts(t, DataType::Boolean), |x| of_text::<BooleanArray, _>(&x[0], |s| all_chars(s, |c| c.is_ascii_digit()));
    IS_ALPHANUMERIC(1) = "str.is_alphanumeric", |t| texts(t, DataType::Boolean), |x| of_text::<BooleanArray, _>(&x[0], |s| all_chars(s, char::is_alphanumeric));
    IS_WHITESPACE(1) = "str.is_whitespace", |t| texts(t, DataType::Boolean), |x| of_text::<BooleanArray, _>(&x[0], |s| all_chars(s, char::is_whitespace));
    IS_LOWERCASE(1) = "str.is_lowercase", |t| texts(t, DataType::Boolean), |x| of_text::<BooleanArray, _>(&x[0], |s| one_case(s, char::is_lowercase, char::is_uppercase));
    IS_UPPERCASE(1) = "str.is_uppercase", |t| texts(t, DataType::Boolean), |x| of_text::<BooleanArray, _>(&x[0], |s| one_case(s, char::is_uppercase, char::is_lowercase));
    CONTAINS(2) = "str.contains", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::contains);
    STARTS(2) = "str.starts_with", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::starts_with);
    ENDS(2) = "str.ends_with", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::ends_with);
    LIKE(2) = "str.like", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::like);
    MATCHES(2) = "str.matches", |t| texts(t, DataType::Boolean), |x| {
        let pattern = expression(&x[1], "str.matches")?;
        of_text::<BooleanArray, _>(&x[0], |s| Some(pattern.is_match(s)))
    };
    COUNT_MATCHES(2) = "str.count_matches", |t| texts(t, DataType::Int32), |x| {
        let pattern = expression(&x[1], "str.count_matches")?;
        of_text::<Int32Array, _>(&x[0], |s| Some(pattern.find_iter(s).count() as i32))
    };
    EXTRACT(3) = "str.extract", |t| texts(&t[..2], DataType::Utf8), |x| {
        let (pattern, group) = (expression(&x[1], "str.extract")?, whole(&x[2], "str.extract")? as usize);
        map_text(&x[0], "str.extract", |s| Some(pattern.captures(s)?.get(group)?.as_str().to_owned()))
    };
    REPLACE(3) = "str.replace" may_fail, |t| texts(t, DataType::Utf8), |x| {
        let from = constant(&x[1], "str.replace")?.unwrap_or_default();
        let to = constant(&x[2], "str.replace")?.unwrap_or_default();
        write_text(&x[0], "str.replace", |s, out| {
            let mut at = 0;
            for (found, _) in s.match_indices(from).filter(|_| !from.is_empty()) {
                out.write(&s[at..found])?;
                out.write(to)?;
                at = found + from.len();
            }
            out.write(&s[at..])
        })
    };
    REPLACE_REGEX(3) = "str.replace_regex" may_fail, |t| texts(t, DataType::Utf8), |x| {
        let pattern = expression(&x[1], "str.replace_regex")?;
        let to = constant(&x[2], "str.replace_regex")?.unwrap_or_default();
        let groups = to.matches('$').count();
        write_text(&x[0], "str.replace_regex", |s, out| {
            let (mut at, mut new) = (0, String::new());
            for caught in pattern.captures_iter(s) {
                let Some(all) = caught.get(0) else { continue };
                // no group is longer than the match
                out.room_for(all.len().saturating_mul(groups).saturating_add(to.len()))?;
                out.write(&s[at..all.start()])?;
                new.clear();
                caught.expand(to, &mut new);
                out.write(&new)?;
                at = all.end();
            }
            out.write(&s[at..])
        })
    };
    FIND(2) = "str.find", |t| texts(t, DataType::Int32), |x| {
        let what = constant(&x[1], "str.find")?.unwrap_or_default();
        of_text::<Int32Array, _>(&x[0], |s| s.find(what).map(|at| character(s, at)))
    };
    RFIND(2) = "str.rfind", |t| texts(t, DataType::Int32), |x| {
        let what = constant(&x[1], "str.rfind")?.unwrap_or_default();
        of_text::<Int32Array, _>(&x[0], |s| s.rfind(what).map(|at| character(s, at)))
    };
    SLICE(3) = "str.slice", |t| texts(&t[..1], DataType::Utf8), |x| {
        let (start, len) = (whole(&x[1], "str.slice")?, whole(&x[2], "str.slice")?);
        map_text(&x[0], "str.slice", |s| {
            let skip = if start < 0 { s.chars().count() as i64 + start } else { start };
            // characters that would be before the first are missing from the length
            let len = if skip < 0 { len.saturating_add(skip) } else { len };
            Some(s.chars().skip(skip.max(0) as usize).take(len.max(0) as usize).collect())
        })
    };
    SPLIT_PART(3) = "str.split_part", |t| texts(&t[..2], DataType::Utf8), |x| {
        let (by, n) = (constant(&x[1], "str.split_part")?.unwrap_or_default(), whole(&x[2], "str.split_part")?);
        map_text(&x[0], "str.split_part", |s| {
            let part = if n >= 0 { s.split(by).nth(n as usize) } else { s.rsplit(by).nth((-1 - n) as usize) };
            part.map(str::to_owned)
        })
    };
    SPLIT(2) = "str.split", |t| texts(t, list_of_texts()), |x| split(&x[0], constant(&x[1], "str.split")?.unwrap_or_default());
    REPEAT(2) = "str.repeat" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| {
        let n = usize::try_from(whole(&x[1], "str.repeat")?).unwrap_or(0);
        write_text(&x[0], "str.repeat", |s, out| out.repeat(s, n))
    };
    PAD_START(3) = "str.pad_start" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| pad(x, "str.pad_start", |n| n);
    PAD_END(3) = "str.pad_end" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| pad(x, "str.pad_end", |_| 0);
    CENTER(3) = "str.center" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| pad(x, "str.center", |n| n / 2);
    ZFILL(2) = "str.zfill" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| {
        let width = whole(&x[1], "str.zfill")?;
        write_text(&x[0], "str.zfill", |s, out| {
            // zeros come after a sign
            let (sign, digits) = s.split_at(usize::from(s.starts_with(['+', '-'])));
            out.write(sign)?;
            out.repeat("0", lacking(s, width))?;
            out.write(digits)
        })
    };
    TRIM_CHARS(2) = "str.trim_chars", |t| texts(t, DataType::Utf8), |x| {
        let chars: Vec<char> = constant(&x[1], "str.trim_chars")?.unwrap_or_default().chars().collect();
        map_text(&x[0], "str.trim_chars", |s| Some(s.trim_matches(chars.as_slice()).to_owned()))
    };
    STRIP_PREFIX(2) = "str.strip_prefix", |t| texts(t, DataType::Utf8), |x| {
        let what = constant(&x[1], "str.strip_prefix")?.unwrap_or_default();
        map_text(&x[0], "str.strip_prefix", |s| Some(s.strip_prefix(what).unwrap_or(s).to_owned()))
    };
    STRIP_SUFFIX(2) = "str.strip_suffix", |t| texts(t, DataType::Utf8), |x| {
        let what = constant(&x[1], "str.strip_suffix")?.unwrap_or_default();
        map_text(&x[0], "str.strip_suffix", |s| Some(s.strip_suffix(what).unwrap_or(s).to_owned()))
    };
    CONCAT(MANY) = "str.concat" may_fail, |t| texts(t, DataType::Utf8), |x| {
        let rows = x.iter().filter(|x| !x.is_scalar).map(|x| x.array.len()).max().unwrap_or(1);
        let parts = x.iter().map(plain).collect::<Result<Vec<_>>>()?;
        let parts: Vec<_> = parts.iter().map(|p| (p.array.as_string::<i32>(), p.is_scalar)).collect();
        // one column may come many times
        let given = parts.iter().map(|(texts, _)| bytes(texts)).max();
        let mut joined = Texts::new("str.concat", rows, given.unwrap_or(0));
        for row in 0..rows {
            let place = |is_scalar: bool| if is_scalar { 0 } else { row };
            if parts.iter().any(|(texts, is_scalar)| texts.is_null(place(*is_scalar))) {
                joined.push(None)?;
                continue;
            }
            parts.iter().try_for_each(|(texts, is_scalar)| joined.write(texts.value(place(*is_scalar))))?;
            joined.end();
        }
        Ok(joined.finish())
    };
    CODES(MANY) = "cat.codes", |t| texts(t, DataType::Int32), |x| {
        let known = x[1..].iter().map(|c| constant(c, "cat.codes")).collect::<Result<Vec<_>>>()?;
        let codes: std::collections::HashMap<&str, i32> = known.into_iter().flatten().zip(0..).collect();
        of_text::<Int32Array, _>(&x[0], |s| codes.get(s).copied())
    };
}
