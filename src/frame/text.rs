//! Functions of text.

use super::functions::{CONCAT, builtins, constant, failed, of_text, texts, whole};
use super::texts::{list_of_texts, map_text, plain, split, write_text};
use super::{Argument, DataType, Expr, UserFunction};
use crate::error::{Error, Result};
use crate::expr::frame::Builtin;
use arrow::array::{ArrayRef, BooleanArray, Int32Array};
use regex::Regex;
use std::sync::Arc;

/// Functions of text; made by [`Expr::str`]. Characters are Unicode scalar values; null stays null.
///
/// # Errors
/// To the run: a function that would make more than 256 MiB of text of a batch of rows (at most 32 768 of them), and more than four times what
/// it is given; in any case more than 2 GiB.
pub struct Text(pub(super) Expr);

impl Expr {
    /// Functions of text: `col("name").str().to_uppercase()`.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("s", vec!["Ab", "cd"].into())]);
    /// let up = df.select(col("s").str().to_uppercase()).collect()?;
    /// assert_eq!(up.texts("s")?, [Some("AB".into()), Some("CD".into())]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn str(&self) -> Text {
        Text(self.clone())
    }
}

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
    let (width, fill) = (whole(&x[1]), constant(&x[2], op)?.unwrap_or_default());
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
    CONTAINS = "str.contains", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::contains);
    STARTS = "str.starts_with", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::starts_with);
    ENDS = "str.ends_with", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::ends_with);
    LIKE = "str.like", |t| texts(t, DataType::Boolean), |x| matches(x, arrow::compute::like);
    MATCHES = "str.matches", |t| texts(t, DataType::Boolean), |x| {
        let pattern = expression(&x[1], "str.matches")?;
        of_text::<BooleanArray, _>(&x[0], |s| Some(pattern.is_match(s)))
    };
    COUNT_MATCHES = "str.count_matches", |t| texts(t, DataType::Int32), |x| {
        let pattern = expression(&x[1], "str.count_matches")?;
        of_text::<Int32Array, _>(&x[0], |s| Some(pattern.find_iter(s).count() as i32))
    };
    EXTRACT = "str.extract", |t| texts(&t[..2], DataType::Utf8), |x| {
        let (pattern, group) = (expression(&x[1], "str.extract")?, whole(&x[2]) as usize);
        map_text(&x[0], "str.extract", |s| Some(pattern.captures(s)?.get(group)?.as_str().to_owned()))
    };
    REPLACE = "str.replace" may_fail, |t| texts(t, DataType::Utf8), |x| {
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
    REPLACE_REGEX = "str.replace_regex" may_fail, |t| texts(t, DataType::Utf8), |x| {
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
    FIND = "str.find", |t| texts(t, DataType::Int32), |x| {
        let what = constant(&x[1], "str.find")?.unwrap_or_default();
        of_text::<Int32Array, _>(&x[0], |s| s.find(what).map(|at| character(s, at)))
    };
    RFIND = "str.rfind", |t| texts(t, DataType::Int32), |x| {
        let what = constant(&x[1], "str.rfind")?.unwrap_or_default();
        of_text::<Int32Array, _>(&x[0], |s| s.rfind(what).map(|at| character(s, at)))
    };
    SLICE = "str.slice", |t| texts(&t[..1], DataType::Utf8), |x| {
        let (start, len) = (whole(&x[1]), whole(&x[2]));
        map_text(&x[0], "str.slice", |s| {
            let skip = if start < 0 { s.chars().count() as i64 + start } else { start };
            // characters that would be before the first are missing from the length
            let len = if skip < 0 { len.saturating_add(skip) } else { len };
            Some(s.chars().skip(skip.max(0) as usize).take(len.max(0) as usize).collect())
        })
    };
    SPLIT_PART = "str.split_part", |t| texts(&t[..2], DataType::Utf8), |x| {
        let (by, n) = (constant(&x[1], "str.split_part")?.unwrap_or_default(), whole(&x[2]));
        map_text(&x[0], "str.split_part", |s| {
            let part = if n >= 0 { s.split(by).nth(n as usize) } else { s.rsplit(by).nth((-1 - n) as usize) };
            part.map(str::to_owned)
        })
    };
    SPLIT = "str.split", |t| texts(t, list_of_texts()), |x| split(&x[0], constant(&x[1], "str.split")?.unwrap_or_default());
    REPEAT = "str.repeat" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| {
        let n = usize::try_from(whole(&x[1])).unwrap_or(0);
        write_text(&x[0], "str.repeat", |s, out| out.repeat(s, n))
    };
    PAD_START = "str.pad_start" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| pad(x, "str.pad_start", |n| n);
    PAD_END = "str.pad_end" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| pad(x, "str.pad_end", |_| 0);
    CENTER = "str.center" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| pad(x, "str.center", |n| n / 2);
    ZFILL = "str.zfill" may_fail, |t| texts(&t[..1], DataType::Utf8), |x| {
        let width = whole(&x[1]);
        write_text(&x[0], "str.zfill", |s, out| {
            // zeros come after a sign
            let (sign, digits) = s.split_at(usize::from(s.starts_with(['+', '-'])));
            out.write(sign)?;
            out.repeat("0", lacking(s, width))?;
            out.write(digits)
        })
    };
    TRIM_CHARS = "str.trim_chars", |t| texts(t, DataType::Utf8), |x| {
        let chars: Vec<char> = constant(&x[1], "str.trim_chars")?.unwrap_or_default().chars().collect();
        map_text(&x[0], "str.trim_chars", |s| Some(s.trim_matches(chars.as_slice()).to_owned()))
    };
    STRIP_PREFIX = "str.strip_prefix", |t| texts(t, DataType::Utf8), |x| {
        let what = constant(&x[1], "str.strip_prefix")?.unwrap_or_default();
        map_text(&x[0], "str.strip_prefix", |s| Some(s.strip_prefix(what).unwrap_or(s).to_owned()))
    };
    STRIP_SUFFIX = "str.strip_suffix", |t| texts(t, DataType::Utf8), |x| {
        let what = constant(&x[1], "str.strip_suffix")?.unwrap_or_default();
        map_text(&x[0], "str.strip_suffix", |s| Some(s.strip_suffix(what).unwrap_or(s).to_owned()))
    };
}

/// Functions of one text: an entry of the table and a method each.
macro_rules! of_one_text {
    ($($(#[$doc:meta])* $method:ident $NAME:ident = $name:literal, $t:ident, |$x:ident| $call:expr;)*) => {
        $(static $NAME: Builtin = Builtin {
            name: $name,
            output: |t| texts(t, DataType::$t),
            may_fail: false,
            call: |x| { let $x = &x[0]; $call },
        };)*
        /// Functions of the text alone.
        impl Text {$(
            $(#[$doc])*
            pub fn $method(&self) -> Expr {
                self.call(&$NAME, [])
            }
        )*}
    };
}

of_one_text! {
    /// In capital letters.
    to_uppercase UPPER = "str.to_uppercase", Utf8, |x| map_text(x, "str.to_uppercase", |s| Some(s.to_uppercase()));
    /// In small letters.
    to_lowercase LOWER = "str.to_lowercase", Utf8, |x| map_text(x, "str.to_lowercase", |s| Some(s.to_lowercase()));
    /// The first character in capitals, the rest in small letters.
    capitalize CAPITALIZE = "str.capitalize", Utf8, |x| map_text(x, "str.capitalize", |s| Some(capitalized(s)));
    /// Every run of letters and digits with its first character in capitals and the rest in small letters.
    to_titlecase TITLE = "str.to_titlecase", Utf8, |x| map_text(x, "str.to_titlecase", |s| Some(titled(s)));
    /// Small letters in capitals, and capitals in small letters.
    swapcase SWAPCASE = "str.swapcase", Utf8, |x| map_text(x, "str.swapcase", |s| Some(swapped(s)));
    /// Its characters from the last to the first.
    reverse REVERSE = "str.reverse", Utf8, |x| map_text(x, "str.reverse", |s| Some(s.chars().rev().collect()));
    /// Without white space at both ends.
    trim TRIM = "str.trim", Utf8, |x| map_text(x, "str.trim", |s| Some(s.trim().to_owned()));
    /// Without white space at its start.
    trim_start TRIM_START = "str.trim_start", Utf8, |x| map_text(x, "str.trim_start", |s| Some(s.trim_start().to_owned()));
    /// Without white space at its end.
    trim_end TRIM_END = "str.trim_end", Utf8, |x| map_text(x, "str.trim_end", |s| Some(s.trim_end().to_owned()));
    /// Number of characters, i32.
    len_chars LEN = "str.len_chars", Int32, |x| of_text::<Int32Array, _>(x, |s| Some(s.chars().count() as i32));
    /// Number of bytes in UTF-8, i32.
    len_bytes BYTES = "str.len_bytes", Int32, |x| of_text::<Int32Array, _>(x, |s| Some(s.len() as i32));
    /// Whether all characters are letters, and there is one.
    is_alphabetic IS_ALPHABETIC = "str.is_alphabetic", Boolean, |x| of_text::<BooleanArray, _>(x, |s| all_chars(s, char::is_alphabetic));
    /// Whether all characters are numbers of any script (as `½` and `٣` are), and there is one.
    is_numeric IS_NUMERIC = "str.is_numeric", Boolean, |x| of_text::<BooleanArray, _>(x, |s| all_chars(s, char::is_numeric));
    /// Whether all characters are the digits 0 to 9, and there is one.
    is_digit IS_DIGIT = "str.is_digit", Boolean, |x| of_text::<BooleanArray, _>(x, |s| all_chars(s, |c| c.is_ascii_digit()));
    /// Whether all characters are letters or numbers, and there is one.
    is_alphanumeric IS_ALPHANUMERIC = "str.is_alphanumeric", Boolean, |x| of_text::<BooleanArray, _>(x, |s| all_chars(s, char::is_alphanumeric));
    /// Whether all characters are white space, and there is one.
    is_whitespace IS_WHITESPACE = "str.is_whitespace", Boolean, |x| of_text::<BooleanArray, _>(x, |s| all_chars(s, char::is_whitespace));
    /// Whether it has a small letter and no capital.
    is_lowercase IS_LOWERCASE = "str.is_lowercase", Boolean, |x| of_text::<BooleanArray, _>(x, |s| one_case(s, char::is_lowercase, char::is_uppercase));
    /// Whether it has a capital and no small letter.
    is_uppercase IS_UPPERCASE = "str.is_uppercase", Boolean, |x| of_text::<BooleanArray, _>(x, |s| one_case(s, char::is_uppercase, char::is_lowercase));
}

/// A number as an argument.
fn count(n: usize) -> Expr {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}

impl Text {
    fn call(&self, f: &'static Builtin, rest: impl IntoIterator<Item = Expr>) -> Expr {
        Expr::call(f, std::iter::once(self.0.clone()).chain(rest))
    }

    /// A call with a regular expression, which must be one.
    #[track_caller]
    fn by_pattern(&self, f: &'static Builtin, pattern: &str, rest: impl IntoIterator<Item = Expr>) -> Expr {
        match Regex::new(pattern) {
            Ok(_) => self.call(f, [pattern.into()].into_iter().chain(rest)),
            Err(e) => Expr::failed(Error::invalid("pattern", e.to_string())),
        }
    }

    /// Whether it contains this text.
    pub fn contains(&self, what: impl Into<Expr>) -> Expr {
        self.call(&CONTAINS, [what.into()])
    }

    /// Whether it starts with this text.
    pub fn starts_with(&self, what: impl Into<Expr>) -> Expr {
        self.call(&STARTS, [what.into()])
    }

    /// Whether it ends with this text.
    pub fn ends_with(&self, what: impl Into<Expr>) -> Expr {
        self.call(&ENDS, [what.into()])
    }

    /// Whether it is like an SQL pattern: `%` is any text, `_` any character.
    pub fn like(&self, pattern: impl Into<Expr>) -> Expr {
        self.call(&LIKE, [pattern.into()])
    }

    /// Whether a regular expression (of the `regex` crate) matches somewhere in it; `^...$` for the whole text.
    ///
    /// # Errors
    /// Carried, here and wherever a pattern is given: if it is no regular expression.
    #[track_caller]
    pub fn matches(&self, pattern: &str) -> Expr {
        self.by_pattern(&MATCHES, pattern, [])
    }

    /// How often a regular expression matches in it, one match after the other, i32.
    #[track_caller]
    pub fn count_matches(&self, pattern: &str) -> Expr {
        self.by_pattern(&COUNT_MATCHES, pattern, [])
    }

    /// What a group of a regular expression caught at its first match (group 0 is the whole match); null where there is none.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("s", vec!["room 12, floor 3", "hall"].into())]);
    /// let found = df.select(col("s").str().extract(r"room (\d+)", 1)).collect()?;
    /// assert_eq!(found.texts("s")?, [Some("12".into()), None]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn extract(&self, pattern: &str, group: usize) -> Expr {
        self.by_pattern(&EXTRACT, pattern, [count(group)])
    }

    /// With every occurrence of a text replaced by another.
    pub fn replace(&self, from: &str, to: &str) -> Expr {
        self.call(&REPLACE, [from.into(), to.into()])
    }

    /// With every match of a regular expression replaced; `$1` or `${name}` stand for what groups caught.
    #[track_caller]
    pub fn replace_regex(&self, pattern: &str, to: &str) -> Expr {
        self.by_pattern(&REPLACE_REGEX, pattern, [to.into()])
    }

    /// The character at which a text first occurs, from 0, i32; null where it does not.
    pub fn find(&self, what: &str) -> Expr {
        self.call(&FIND, [what.into()])
    }

    /// The character at which a text last occurs, from 0, i32; null where it does not.
    pub fn rfind(&self, what: &str) -> Expr {
        self.call(&RFIND, [what.into()])
    }

    /// `len` characters from number `start`, which counts from the end if negative. What would be before the first character is not there, so
    /// `slice(-3, 2)` of `ab` is `a`.
    pub fn slice(&self, start: i64, len: i64) -> Expr {
        self.call(&SLICE, [start.into(), len.into()])
    }

    /// The piece number `n` of the text split by another, from 0, or from the end if negative (-1 is the last); null where there are not so
    /// many.
    pub fn split_part(&self, by: &str, n: i64) -> Expr {
        self.call(&SPLIT_PART, [by.into(), n.into()])
    }

    /// The pieces between occurrences of a text, in a list: one if it does not occur. [`explode`](super::DataFrame::explode) makes rows of them.
    ///
    /// # Errors
    /// Carried: if the text is empty.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("id", vec![1, 2].into()), ("tags", vec!["red,green", ""].into())]);
    /// let tags = df.with_columns(col("tags").str().split(",")).explode("tags").collect()?;
    /// assert_eq!(tags.values::<i32>("id")?, [Some(1), Some(1), Some(2)]);
    /// assert_eq!(tags.texts("tags")?, [Some("red".into()), Some("green".into()), Some("".into())]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    #[track_caller]
    pub fn split(&self, by: &str) -> Expr {
        match by {
            "" => Expr::failed(Error::invalid(
                "split",
                "an empty text is nowhere and everywhere; give one of some characters",
            )),
            by => self.call(&SPLIT, [by.into()]),
        }
    }

    /// `n` times, one after the other.
    pub fn repeat(&self, n: usize) -> Expr {
        self.call(&REPEAT, [count(n)])
    }

    /// With characters before it, so that there are at least `width`: right-justified.
    #[doc(alias = "rjust")]
    pub fn pad_start(&self, width: usize, fill: char) -> Expr {
        self.call(&PAD_START, [count(width), fill.to_string().into()])
    }

    /// With characters after it, so that there are at least `width`: left-justified.
    #[doc(alias = "ljust")]
    pub fn pad_end(&self, width: usize, fill: char) -> Expr {
        self.call(&PAD_END, [count(width), fill.to_string().into()])
    }

    /// With characters on both sides, so that there are at least `width`; one more after than before where their number is odd.
    pub fn center(&self, width: usize, fill: char) -> Expr {
        self.call(&CENTER, [count(width), fill.to_string().into()])
    }

    /// With zeros before it, after a sign if it has one, so that there are at least `width` characters.
    pub fn zfill(&self, width: usize) -> Expr {
        self.call(&ZFILL, [count(width)])
    }

    /// Without any of these characters at both ends.
    pub fn trim_chars(&self, chars: &str) -> Expr {
        self.call(&TRIM_CHARS, [chars.into()])
    }

    /// Without this text at its start, if it is there.
    #[doc(alias = "removeprefix")]
    pub fn strip_prefix(&self, what: &str) -> Expr {
        self.call(&STRIP_PREFIX, [what.into()])
    }

    /// Without this text at its end, if it is there.
    #[doc(alias = "removesuffix")]
    pub fn strip_suffix(&self, what: &str) -> Expr {
        self.call(&STRIP_SUFFIX, [what.into()])
    }

    /// Followed by other texts; null if any is. See [`concat_str`](super::concat_str) for a separator.
    pub fn concat(&self, others: impl IntoIterator<Item = Expr>) -> Expr {
        self.call(&CONCAT, others)
    }

    /// A function of yours for every text that is not null; it may give null.
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("s", vec![Some("a b"), None, Some("")].into())]);
    /// let first = df.select(col("s").str().map(|s| s.split(' ').next().map(str::to_uppercase))).collect()?;
    /// assert_eq!(first.texts("s")?, [Some("A".into()), None, Some("".into())]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn map(&self, function: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Expr {
        let call = move |x: &[ArrayRef]| -> Result<ArrayRef> {
            let texts = Argument { array: x[0].clone(), is_scalar: false };
            map_text(&texts, "str.map", &function)
        };
        let function = UserFunction { name: "str.map".into(), output: DataType::Utf8, call: Arc::new(call) };
        Expr::map_columns([self.0.cast(DataType::Utf8)], function)
    }
}

/// Functions of categories; made by [`Expr::cat`].
pub struct Categories(Expr);

impl Expr {
    /// As categories: text that is stored once a batch, with a number per row (Arrow's `Dictionary(Int32, Utf8)`). Compared, grouped and
    /// joined as the text it is.
    pub fn to_categorical(&self) -> Expr {
        self.cast(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))
    }

    /// Functions of categories, over text of any storage. The categories are given, since those that occur are known after a run only
    /// ([`Series::categories`](super::Series::categories) runs one).
    ///
    /// ```
    /// use blockwise::frame::{DataFrame, col};
    /// let df = DataFrame::from_columns([("size", vec!["L", "S", "M", "?"].into())]);
    /// let codes = df.select(col("size").cat().codes(["S", "M", "L"])).collect()?;
    /// assert_eq!(codes.values::<i32>("size")?, [Some(2), Some(0), Some(1), None]);
    /// # Ok::<(), blockwise::Error>(())
    /// ```
    pub fn cat(&self) -> Categories {
        Categories(self.clone())
    }
}

builtins! {
    CODES = "cat.codes", |t| texts(t, DataType::Int32), |x| {
        let known = x[1..].iter().map(|c| constant(c, "cat.codes")).collect::<Result<Vec<_>>>()?;
        let codes: std::collections::HashMap<&str, i32> = known.into_iter().flatten().zip(0..).collect();
        of_text::<Int32Array, _>(&x[0], |s| codes.get(s).copied())
    };
}

impl Categories {
    /// The number of each value among these categories, from 0, i32; null for any other value. So categories have an order of their own to
    /// sort by.
    pub fn codes<'a>(&self, categories: impl IntoIterator<Item = &'a str>) -> Expr {
        Expr::call(&CODES, std::iter::once(self.0.clone()).chain(categories.into_iter().map(Expr::from)))
    }

    /// The values that are among these categories, as categories; null for any other value.
    pub fn set_categories<'a>(&self, categories: impl IntoIterator<Item = &'a str>) -> Expr {
        let known = self.0.cast(DataType::Utf8).is_in(categories);
        super::when(known).then(self.0.cast(DataType::Utf8)).otherwise(Expr::null()).to_categorical()
    }
}
