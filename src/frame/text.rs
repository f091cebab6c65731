//! Functions of text.

use super::{Argument, DataType, Expr, UserFunction};
use crate::error::{Error, Result};
use crate::expr::frame::Builtin;
use crate::expr::frame::functions::{text, texts::map_text};
use arrow::array::ArrayRef;
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

/// Functions of one text: a method each.
macro_rules! of_one_text {
    ($($(#[$doc:meta])* $method:ident $NAME:ident;)*) => {
        /// Functions of the text alone.
        impl Text {$(
            $(#[$doc])*
            pub fn $method(&self) -> Expr {
                self.call(&text::$NAME, [])
            }
        )*}
    };
}

of_one_text! {
    /// In capital letters.
    to_uppercase UPPER;
    /// In small letters.
    to_lowercase LOWER;
    /// The first character in capitals, the rest in small letters.
    capitalize CAPITALIZE;
    /// Every run of letters and digits with its first character in capitals and the rest in small letters.
    to_titlecase TITLE;
    /// Small letters in capitals, and capitals in small letters.
    swapcase SWAPCASE;
    /// Its characters from the last to the first.
    reverse REVERSE;
    /// Without white space at both ends.
    trim TRIM;
    /// Without white space at its start.
    trim_start TRIM_START;
    /// Without white space at its end.
    trim_end TRIM_END;
    /// Number of characters, i32.
    len_chars LEN;
    /// Number of bytes in UTF-8, i32.
    len_bytes BYTES;
    /// Whether all characters are letters, and there is one.
    is_alphabetic IS_ALPHABETIC;
    /// Whether all characters are numbers of any script (as `½` and `٣` are), and there is one.
    is_numeric IS_NUMERIC;
    /// Whether all characters are the digits 0 to 9, and there is one.
    is_digit IS_DIGIT;
    /// Whether all characters are letters or numbers, and there is one.
    is_alphanumeric IS_ALPHANUMERIC;
    /// Whether all characters are white space, and there is one.
    is_whitespace IS_WHITESPACE;
    /// Whether it has a small letter and no capital.
    is_lowercase IS_LOWERCASE;
    /// Whether it has a capital and no small letter.
    is_uppercase IS_UPPERCASE;
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
        self.call(&text::CONTAINS, [what.into()])
    }

    /// Whether it starts with this text.
    pub fn starts_with(&self, what: impl Into<Expr>) -> Expr {
        self.call(&text::STARTS, [what.into()])
    }

    /// Whether it ends with this text.
    pub fn ends_with(&self, what: impl Into<Expr>) -> Expr {
        self.call(&text::ENDS, [what.into()])
    }

    /// Whether it is like an SQL pattern: `%` is any text, `_` any character.
    pub fn like(&self, pattern: impl Into<Expr>) -> Expr {
        self.call(&text::LIKE, [pattern.into()])
    }

    /// Whether a regular expression (of the `regex` crate) matches somewhere in it; `^...$` for the whole text.
    ///
    /// # Errors
    /// Carried, here and wherever a pattern is given: if it is no regular expression.
    #[track_caller]
    pub fn matches(&self, pattern: &str) -> Expr {
        self.by_pattern(&text::MATCHES, pattern, [])
    }

    /// How often a regular expression matches in it, one match after the other, i32.
    #[track_caller]
    pub fn count_matches(&self, pattern: &str) -> Expr {
        self.by_pattern(&text::COUNT_MATCHES, pattern, [])
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
        self.by_pattern(&text::EXTRACT, pattern, [count(group)])
    }

    /// With every occurrence of a text replaced by another.
    pub fn replace(&self, from: &str, to: &str) -> Expr {
        self.call(&text::REPLACE, [from.into(), to.into()])
    }

    /// With every match of a regular expression replaced; `$1` or `${name}` stand for what groups caught.
    #[track_caller]
    pub fn replace_regex(&self, pattern: &str, to: &str) -> Expr {
        self.by_pattern(&text::REPLACE_REGEX, pattern, [to.into()])
    }

    /// The character at which a text first occurs, from 0, i32; null where it does not.
    pub fn find(&self, what: &str) -> Expr {
        self.call(&text::FIND, [what.into()])
    }

    /// The character at which a text last occurs, from 0, i32; null where it does not.
    pub fn rfind(&self, what: &str) -> Expr {
        self.call(&text::RFIND, [what.into()])
    }

    /// `len` characters from number `start`, which counts from the end if negative. What would be before the first character is not there, so
    /// `slice(-3, 2)` of `ab` is `a`.
    pub fn slice(&self, start: i64, len: i64) -> Expr {
        self.call(&text::SLICE, [start.into(), len.into()])
    }

    /// The piece number `n` of the text split by another, from 0, or from the end if negative (-1 is the last); null where there are not so
    /// many.
    pub fn split_part(&self, by: &str, n: i64) -> Expr {
        self.call(&text::SPLIT_PART, [by.into(), n.into()])
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
            by => self.call(&text::SPLIT, [by.into()]),
        }
    }

    /// `n` times, one after the other.
    pub fn repeat(&self, n: usize) -> Expr {
        self.call(&text::REPEAT, [count(n)])
    }

    /// With characters before it, so that there are at least `width`: right-justified.
    #[doc(alias = "rjust")]
    pub fn pad_start(&self, width: usize, fill: char) -> Expr {
        self.call(&text::PAD_START, [count(width), fill.to_string().into()])
    }

    /// With characters after it, so that there are at least `width`: left-justified.
    #[doc(alias = "ljust")]
    pub fn pad_end(&self, width: usize, fill: char) -> Expr {
        self.call(&text::PAD_END, [count(width), fill.to_string().into()])
    }

    /// With characters on both sides, so that there are at least `width`; one more after than before where their number is odd.
    pub fn center(&self, width: usize, fill: char) -> Expr {
        self.call(&text::CENTER, [count(width), fill.to_string().into()])
    }

    /// With zeros before it, after a sign if it has one, so that there are at least `width` characters.
    pub fn zfill(&self, width: usize) -> Expr {
        self.call(&text::ZFILL, [count(width)])
    }

    /// Without any of these characters at both ends.
    pub fn trim_chars(&self, chars: &str) -> Expr {
        self.call(&text::TRIM_CHARS, [chars.into()])
    }

    /// Without this text at its start, if it is there.
    #[doc(alias = "removeprefix")]
    pub fn strip_prefix(&self, what: &str) -> Expr {
        self.call(&text::STRIP_PREFIX, [what.into()])
    }

    /// Without this text at its end, if it is there.
    #[doc(alias = "removesuffix")]
    pub fn strip_suffix(&self, what: &str) -> Expr {
        self.call(&text::STRIP_SUFFIX, [what.into()])
    }

    /// Followed by other texts; null if any is. See [`concat_str`](super::concat_str) for a separator.
    pub fn concat(&self, others: impl IntoIterator<Item = Expr>) -> Expr {
        self.call(&text::CONCAT, others)
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

impl Categories {
    /// The number of each value among these categories, from 0, i32; null for any other value. So categories have an order of their own to
    /// sort by.
    pub fn codes<'a>(&self, categories: impl IntoIterator<Item = &'a str>) -> Expr {
        Expr::call(
            &text::CODES,
            std::iter::once(self.0.clone()).chain(categories.into_iter().map(Expr::from)),
        )
    }

    /// The values that are among these categories, as categories; null for any other value.
    pub fn set_categories<'a>(&self, categories: impl IntoIterator<Item = &'a str>) -> Expr {
        let known = self.0.cast(DataType::Utf8).is_in(categories);
        super::when(known).then(self.0.cast(DataType::Utf8)).otherwise(Expr::null()).to_categorical()
    }
}
